"""A collector that receives spans over OTLP/HTTP, in a thread of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What has been received.

    Attributes:
        url: where spans are sent to.
        resource: the attributes of the sender.
        spans: all spans, in the order in which they ended.
        raw: all requests as bytes.
        paths: the path of each request.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.resource: dict[str, str] = {}
        self.spans: list[Span] = []
        self.raw = b""
        self.paths: list[str] = []

    def receive(self, path: str, body: bytes) -> None:
        self.paths.append(path)
        self.raw += body
        for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = attributes_of(resource_spans.resource)
            for scope_spans in resource_spans.scope_spans:
                self.spans += scope_spans.spans

    def by_name(self) -> dict[str, Span]:
        """Return the spans by name, the last one of each."""
        return {span.name: span for span in self.spans}


def attributes_of(source: Any) -> dict[str, Any]:
    """Return the attributes of a span or a resource."""
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in source.attributes
    }


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.receive(self.path, body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
