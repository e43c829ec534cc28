# syntax=docker/dockerfile:1
# Python 3.14, the version that every locked wheel is built for. Pin the digest where you build.
ARG PYTHON=python:3.14-slim

# Wheels are fetched and checked here; pip and its caches stay behind.
FROM ${PYTHON} AS build
COPY requirements.lock /build/
RUN python -m venv --without-pip /venv \
 && python -m pip --disable-pip-version-check --python /venv/bin/python install \
      --no-cache-dir --no-compile --only-binary=:all: --require-hashes -r /build/requirements.lock
COPY app /srv/app
RUN /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /venv/lib /srv/app

FROM ${PYTHON}
COPY --from=build /venv /venv
COPY --from=build /srv /srv
WORKDIR /srv
# A number, so that an orchestrator can see that it is not root. It owns nothing and writes nothing:
# run the container with a read-only file system.
USER 10001:10001
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORDERS_SERVER__HOST=0.0.0.0
EXPOSE 8000
# The image has no curl. An HTTP error makes urlopen raise, and so the check fail.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", \
  "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + (os.getenv('ORDERS_SERVER__PORT') or '8000') + '/livez', timeout=2)"]
# In exec form, so that the server itself gets SIGTERM and can drain.
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]
