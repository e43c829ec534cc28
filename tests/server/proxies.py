"""nginx and HAProxy in front of a server, each in several configurations."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

NO_CONNECTION = 'proxy_set_header Connection "";'
NGINX_VARIANTS = {
    "nginx": f"proxy_http_version 1.1; {NO_CONNECTION}",
    "nginx-websocket": """
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;""",
    "nginx-http-1.0": f"proxy_http_version 1.0; {NO_CONNECTION}",
    "nginx-unbuffered": f"""
        proxy_http_version 1.1; {NO_CONNECTION}
        proxy_buffering off;
        proxy_request_buffering off;""",
}
"""Directives by name; the second is the usual configuration of a site with WebSockets."""
HAPROXY_VARIANTS = {f"haproxy-{reuse}": reuse for reuse in ("always", "safe", "never")}
"""Values of `http-reuse` by name."""

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
    upstream servers {{ {upstream} keepalive {keepalive}; }}
    {servers}
}}
"""
NGINX_SERVER = """
    server {{
        listen unix:{folder}/{name}.sock;
        location / {{
            proxy_pass http://servers;
            proxy_set_header Host localhost;
            {variant}
        }}
    }}"""
HAPROXY = """
global
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
"""
HAPROXY_LISTEN = """
listen {name}
    bind unix@{folder}/{name}.sock
    http-reuse {variant}
    http-request set-header Host localhost
    server server 127.0.0.1:{port} pool-max-conn 1
"""


def require(*programs: str, package: str = "") -> None:
    """Skip the test if one of `programs` is not installed; in CI, fail.

    `package` is the Debian package that has it, if that has another name.
    """
    for program in programs:
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            message = f"there is no {program}: apt-get install {package or program}"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)


@asynccontextmanager
async def nginx(folder: Path, *ports: int, keepalive: int = 1) -> AsyncIterator[dict[str, Path]]:
    """Run every variant of nginx in front of the servers on `ports`; yield their sockets.

    Each keeps `keepalive` idle connections to the servers.
    """
    servers = "".join(
        NGINX_SERVER.format(folder=folder, name=name, variant=variant)
        for name, variant in NGINX_VARIANTS.items()
    )
    upstream = " ".join(f"server 127.0.0.1:{port};" for port in ports)
    config = folder / "nginx.conf"
    values = {"servers": servers, "upstream": upstream, "keepalive": keepalive}
    config.write_text(NGINX.format(folder=folder, **values))
    command = ("/usr/sbin/nginx", "-p", str(folder), "-c", str(config))
    async with _running(command, folder, NGINX_VARIANTS) as sockets:
        yield sockets


@asynccontextmanager
async def haproxy(folder: Path, port: int) -> AsyncIterator[dict[str, Path]]:
    """Run every variant of HAProxy in front of the server on `port`; yield their sockets."""
    listeners = "".join(
        HAPROXY_LISTEN.format(folder=folder, name=name, variant=variant, port=port)
        for name, variant in HAPROXY_VARIANTS.items()
    )
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY + listeners)
    command = ("/usr/sbin/haproxy", "-db", "-f", str(config))
    async with _running(command, folder, HAPROXY_VARIANTS) as sockets:
        yield sockets


@asynccontextmanager
async def _running(
    command: tuple[str, ...], folder: Path, names: dict[str, str]
) -> AsyncIterator[dict[str, Path]]:
    process = await asyncio.create_subprocess_exec(*command)
    sockets = {name: folder / f"{name}.sock" for name in names}
    try:
        while not all(socket.exists() for socket in sockets.values()):
            assert process.returncode is None
            await asyncio.sleep(0.01)
        yield sockets
    finally:
        process.terminate()
        await process.wait()
