"""What is told of a row beside what we promise of it, where a caller asks for it. Pure."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from pydantic_core import to_json

from app.orders.blocks import Block
from app.orders.mapping import Row
from app.orders.schema import Origin


@dataclass(frozen=True, slots=True)
class RowExtras:
    """What else is told.

    Attributes:
        names: of `rev`, `raw` and `origin` those that are asked for.
        origin_at: the JSON of the origin of the row at a place of the answer.
    """

    names: Collection[str]
    origin_at: Callable[[int], bytes]

    def lasting(self) -> "RowExtras":
        """The same with what a refresh that changed nothing would change as a mere word."""
        return replace(self, origin_at=lambda _: b"origin")

    def render_rows(self, rows: Iterable[Row]) -> bytes:
        """The JSON of the rows of an answer."""
        return b"[" + b",".join(self.render_row(at, row) for at, row in enumerate(rows)) + b"]"

    def render_row(self, at: int, row: Row) -> bytes:
        """The JSON of a row, the one at the place `at`."""
        if not self.names:
            return row.body
        more = b""
        if "rev" in self.names:
            more += b',"rev":"%s"' % row.rev.encode()
        if "origin" in self.names:
            more += b',"origin":' + self.origin_at(at)
        if "raw" in self.names:
            more += b',"raw":' + row.raw
        return row.body[:-1] + more + b"}"


NO_EXTRAS = RowExtras((), lambda _: b"")


def origin_json(block: Block) -> bytes:
    """The JSON that tells where the rows of a block come from."""
    origin = Origin(fetched_at=block.as_of)
    if block.request_id is not None:
        origin["upstream_request_id"] = block.request_id
    return to_json(origin)
