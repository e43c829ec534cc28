"""The health check of the image follows HOST and PORT, and ignores proxies."""

import os
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from app.commands.healthcheck import address_of, is_alive


class _Live(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/livez" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


class _Failing(_Live):
    status = 503


class _Server(HTTPServer):
    def __init__(self, host: str, handler: type[_Live]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), handler)

    def answer_once(self) -> Thread:
        thread = Thread(target=self.handle_request)
        thread.start()
        return thread


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({}, ("127.0.0.1", 8000)),
        ({"HOST": "", "PORT": ""}, ("127.0.0.1", 8000)),
        ({"HOST": "0.0.0.0", "PORT": "9000"}, ("127.0.0.1", 9000)),  # noqa: S104
        ({"HOST": "::"}, ("::1", 8000)),
        ({"HOST": "[::]"}, ("::1", 8000)),
        ({"HOST": "10.0.0.7"}, ("10.0.0.7", 8000)),
    ],
)
def test_the_address_is_that_of_the_settings(
    environ: dict[str, str], address: tuple[str, int]
) -> None:
    named = {f"ORDERS_SERVER__{name}": value for name, value in environ.items()}
    assert address_of(named) == address


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_server_that_answers_is_alive_whatever_the_proxy_variables_are(host: str) -> None:
    proxy = "http://127.0.0.1:1"
    environ = os.environ | {
        "ORDERS_SERVER__HOST": host,
        **dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy"), proxy),
        "no_proxy": "",
    }
    with _Server(host, _Live) as server:
        thread = server.answer_once()
        environ["ORDERS_SERVER__PORT"] = str(server.server_port)
        command = [sys.executable, "-m", "app.commands.healthcheck"]
        result = subprocess.run(command, env=environ, check=False)
        thread.join()
    assert result.returncode == 0


def test_a_server_that_fails_or_does_not_answer_is_not_alive() -> None:
    with _Server("127.0.0.1", _Failing) as server:
        thread = server.answer_once()
        assert not is_alive("127.0.0.1", server.server_port)
        thread.join()
        port = server.server_port
    assert not is_alive("127.0.0.1", port)
