"""An answer, composed once and sent many times: its body, its ETag, its headers. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from pydantic_core import to_json

from app.edge.coding import Codings
from app.orders.reshape import Row

IDS_IN_BODY = 200
IDS_IN_HEADER = 10
WARNINGS = 100

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """One upstream answer that an answer of ours rests on.

    Attributes:
        asked: when it was asked for, on the monotonic clock.
        as_of: the same, for people.
    """

    asked: float
    as_of: str
    request_id: str | None
    sandbox: bool


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Bytes to send, and the headers that do not change while they are good."""

    body: bytes
    etag: bytes
    asked: float
    upstream_request_ids: tuple[str, ...]
    headers: Headers
    codings: Codings

    @property
    def weight(self) -> int:
        """Roughly its bytes in memory, in every coding that is made."""
        return (
            self.codings.weight + sum(len(name) + len(value) for name, value in self.headers) + 500
        )


def compose_page(
    rows: Sequence[Row],
    sources: Sequence[Source],
    *,
    page: int,
    limit: int,
    total: int,
    shifting: bool,
    currency: str,
    links: str,
) -> Answer:
    """One page of the list. `links` is the value of its Link header."""
    pages = -(-total // limit)
    meta: dict[str, Any] = {"page": page, "limit": limit, "total": total, "pages": pages}
    unread = ((f"/data/{at}", row) for at, row in enumerate(rows))
    meta |= _told(unread, currency if any(row.has_amount for row in rows) else "")
    if shifting:
        meta["shifting"] = True
    data = b"[" + b",".join(row.body for row in rows) + b"]"
    extra = ((b"x-total-count", str(total).encode()), (b"link", links.encode()))
    return _compose(data, meta, sources, extra)


def compose_single(row: Row, source: Source, *, currency: str) -> Answer:
    """One order, or one payment."""
    meta = _told([("/data", row)], currency if row.has_amount else "")
    return _compose(row.body, meta, [source], ())


def links_of(path: str, query: str, page: int, pages: int) -> str:
    """The Link header (RFC 8288): the neighbours of a page, with every given parameter kept."""
    given = parse_qsl(query)
    last = max(pages, 1)
    targets = {"first": 1}
    if page > 1:
        targets["prev"] = min(page - 1, last)
    if page < pages:
        targets["next"] = page + 1
    targets["last"] = last
    return ", ".join(
        f'<{path}?{_with_page(given, target)}>; rel="{rel}"' for rel, target in targets.items()
    )


def _with_page(given: Iterable[tuple[str, str]], page: int) -> str:
    kept = [(name, value) for name, value in given if name != "page"]
    return urlencode([("page", str(page)), *kept])


def _told(places: Iterable[tuple[str, Row]], currency: str) -> dict[str, Any]:
    """What could not be read, and what the amounts are in."""
    warnings = [
        {"pointer": f"{place}/{unread.field}", "order_no": row.order_no}
        | ({"raw": unread.raw} if unread.raw is not None else {})
        for place, row in places
        for unread in row.unread
    ]
    told: dict[str, Any] = {}
    if warnings:
        told["warnings"] = warnings[:WARNINGS]
    if len(warnings) > WARNINGS:
        told["warnings_omitted"] = len(warnings) - WARNINGS
    if currency:
        told["currency"] = currency
    return told


def _compose(
    data: bytes, meta: dict[str, Any], sources: Sequence[Source], extra: Headers
) -> Answer:
    """Body and headers; the ETag leaves out what a refresh that changed nothing would change."""
    oldest = min(sources, key=lambda source: source.asked)
    ids = tuple(source.request_id for source in sources if source.request_id is not None)
    digest = hashlib.sha256(data + to_json(meta)).hexdigest()[:32]
    etag = f'W/"{digest}"'.encode()
    meta |= {"as_of": oldest.as_of, "upstream_request_ids": ids[:IDS_IN_BODY]}
    if len(ids) > IDS_IN_BODY:
        meta["upstream_answers"] = len(sources)
    body = b'{"data":' + data + b',"meta":' + to_json(meta) + b"}"
    headers: list[tuple[bytes, bytes]] = [(b"etag", etag), (b"cache-control", b"private, no-cache")]
    if ids:
        headers.append((b"x-upstream-request-id", ", ".join(_newest_ids(sources, ids)).encode()))
    if any(source.sandbox for source in sources):
        headers.append((b"x-sandbox", b"true"))
    return Answer(body, etag, oldest.asked, ids, (*headers, *extra), Codings(body))


def _newest_ids(sources: Sequence[Source], ids: Sequence[str]) -> Sequence[str]:
    """All ids in block order, or the newest of them where they are too many for a header."""
    if len(ids) <= IDS_IN_HEADER:
        return ids
    by_age = sorted(sources, key=lambda source: -source.asked)
    return [source.request_id for source in by_age if source.request_id is not None][:IDS_IN_HEADER]
