"""An answer, composed once and sent many times: its body, its ETag, its headers. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from pydantic_core import to_json

from app.edge.content_coding import EncodedBodies
from app.orders.changed import Change
from app.orders.mapping import Row
from app.orders.row_extras import NO_EXTRAS, RowExtras

IDS_IN_BODY = 200
IDS_IN_HEADER = 10
WARNINGS = 100

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Provenance:
    """One upstream answer that an answer of ours rests on.

    Attributes:
        asked: when it was asked for, on the monotonic clock.
        as_of: the same, for people.
    """

    fetched_at: float
    as_of: str
    request_id: str | None
    sandbox: bool


@dataclass(frozen=True, slots=True, eq=False)
class RenderedResponse:
    """Bytes to send, and the headers that do not change while they are good."""

    body: bytes
    etag: bytes
    fetched_at: float
    upstream_request_ids: tuple[str, ...]
    headers: Headers
    codings: EncodedBodies

    @property
    def size(self) -> int:
        """Roughly its bytes in memory, in every coding that is made."""
        return self.codings.size + sum(len(name) + len(value) for name, value in self.headers) + 500


def render_page(
    rows: Sequence[Row],
    sources: Sequence[Provenance],
    *,
    page: int,
    limit: int,
    total: int,
    inconsistent: bool,
    currency: str,
    links: str,
    included: RowExtras = NO_EXTRAS,
) -> RenderedResponse:
    """One page of the list. `links` is the value of its Link header."""
    pages = -(-total // limit)
    meta: dict[str, Any] = {"page": page, "limit": limit, "total": total, "pages": pages}
    unread = ((f"/data/{at}", row) for at, row in enumerate(rows))
    meta |= _told(unread, currency if any(row.has_amount for row in rows) else "")
    if inconsistent:
        meta["inconsistent"] = True
    extra = ((b"x-total-count", str(total).encode()), (b"link", links.encode()))
    data = included.render_rows(rows)
    lasting = included.lasting().render_rows(rows) if "origin" in included.names else data
    return _compose(data, meta, sources, extra, lasting=lasting)


def render_summary(
    body: bytes, sources: Sequence[Provenance], *, inconsistent: bool, currency: str
) -> RenderedResponse:
    """Totals of the list."""
    meta: dict[str, Any] = {"inconsistent": True} if inconsistent else {}
    if currency:
        meta["currency"] = currency
    return _compose(body, meta, sources, ())


def render_single(row: Row, source: Provenance, *, currency: str) -> RenderedResponse:
    """One order, or one payment."""
    meta = _told([("/data", row)], currency if row.has_amount else "")
    return _compose(row.body, meta, [source], ())


def render_changes(
    changes: Sequence[Change],
    sources: Sequence[Provenance],
    *,
    cursor: str,
    poll_after: int,
    currency: str,
) -> RenderedResponse:
    """What changed, and the state that it leads to."""
    present = [(at, change.row) for at, change in enumerate(changes) if change.row]
    told = _told(
        ((f"/data/{at}/order", row) for at, row in present),
        currency if any(row.has_amount for _, row in present) else "",
    )
    data = b"[" + b",".join(map(_change, changes)) + b"]"
    # Part of the tag: a cache that confirmed an old body would go on telling an old `poll_after`.
    return _compose(data, {"cursor": cursor, "poll_after": poll_after, **told}, sources, ())


def render_export(digest: bytes, sources: Sequence[Provenance], count: int) -> RenderedResponse:
    """What is told of a file of so many orders beside its lines; `digest` is that of them."""
    extra = ((b"x-total-count", str(count).encode()),)
    return _compose(b"[]", {}, sources, extra, lasting=digest)


def _change(change: Change) -> bytes:
    told = to_json({"change": change.change, "order_no": change.order_no})
    return told if change.row is None else told[:-1] + b',"order":' + change.row.body + b"}"


def weak_etag(told: bytes) -> bytes:
    """The weak entity tag of what is told."""
    return f'W/"{hashlib.sha256(told).hexdigest()[:32]}"'.encode()


def link_header(path: str, query: str, page: int, pages: int) -> str:
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
        for unread in row.unparsed
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
    data: bytes,
    meta: dict[str, Any],
    sources: Sequence[Provenance],
    extra: Headers,
    *,
    lasting: bytes | None = None,
) -> RenderedResponse:
    """Body and headers; the ETag leaves out what a refresh that changed nothing would change.

    `lasting` is the data without that, where it is not all of the data.
    """
    oldest = min(sources, key=lambda source: source.fetched_at)
    ids = tuple(source.request_id for source in sources if source.request_id is not None)
    etag = weak_etag((data if lasting is None else lasting) + to_json(meta))
    meta |= {"as_of": oldest.as_of, "upstream_request_ids": ids[:IDS_IN_BODY]}
    if len(ids) > IDS_IN_BODY:
        meta["upstream_responses"] = len(sources)
    body = b'{"data":' + data + b',"meta":' + to_json(meta) + b"}"
    headers: list[tuple[bytes, bytes]] = [(b"etag", etag), (b"cache-control", b"private, no-cache")]
    if ids:
        headers.append((b"x-upstream-request-id", ", ".join(_newest_ids(sources, ids)).encode()))
    if any(source.sandbox for source in sources):
        headers.append((b"x-sandbox", b"true"))
    return RenderedResponse(
        body, etag, oldest.fetched_at, ids, (*headers, *extra), EncodedBodies(body)
    )


def _newest_ids(sources: Sequence[Provenance], ids: Sequence[str]) -> Sequence[str]:
    """All ids in block order, or the newest of them where they are too many for a header."""
    if len(ids) <= IDS_IN_HEADER:
        return ids
    by_age = sorted(sources, key=lambda source: -source.fetched_at)
    return [source.request_id for source in by_age if source.request_id is not None][:IDS_IN_HEADER]
