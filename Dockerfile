# syntax=docker/dockerfile:1
# Every locked package has a wheel for this Python version. `make image-digest` prints the value that
# pins it: --build-arg PYTHON=python:3.14-slim@sha256:...
ARG PYTHON=python:3.14-slim

# Installs the locked wheels; pip and its cache do not get into the final image.
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
# A numeric user, so that Kubernetes can verify runAsNonRoot. The server writes only the temporary
# files of exports: run the container with a read-only root file system and a tmpfs at /tmp.
USER 10001:10001
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORDERS_SERVER__HOST=0.0.0.0
EXPOSE 8000
# The image has no curl. The check follows HOST and PORT, and ignores proxy variables.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-m", "app.commands.healthcheck"]
# Exec form: the server is process 1 and gets SIGTERM, so it can drain.
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]
