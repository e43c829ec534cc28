"""Renders response bodies, ETags and the headers that are the same for every caller."""

import asyncio
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from sys import getsizeof
from typing import Any
from urllib.parse import parse_qsl, urlencode

from pydantic_core import to_json

from app.cache.grace_cache import Entry
from app.edge.content_coding import GzipBody
from app.orders.blocks import Block, FetchedValue
from app.orders.changes import Change, CursorExpired
from app.orders.compute import cooperative_chunks
from app.orders.mapping import Row
from app.orders.schema import Origin

MAX_IDS_IN_BODY = 200
MAX_IDS_IN_HEADER = 10
MAX_WARNINGS = 100
WARNING_BYTES = 1000
"""Memory of one warning, at most."""

MAX_CHANGES_BYTES = 4 * 1024 * 1024
"""Bytes of the changes in one response; a client that is further behind takes the export."""

CHANGES_PER_CHUNK = 500
"""Changes rendered between two turns of the event loop."""
MAX_LINK_BYTES = 4096
"""Longest Link header, because proxies bound the size of a response's headers."""

OVERHEAD_BYTES = 1500
"""Memory of a rendered response besides its bodies, headers and request ids, in the cache."""

Headers = tuple[tuple[bytes, bytes], ...]
Sources = Sequence[Entry[FetchedValue]]
"""What a response is based on: at least one cached block or order."""


@dataclass(frozen=True, slots=True, eq=False)
class ResponseHead:
    """The part of a rendered response that a 304, too, is made of.

    Attributes:
        etag: weak entity tag (RFC 9110 section 8.8.3).
        fetched_at: when the oldest upstream response was requested, on the monotonic clock.
        upstream_request_ids: ids of the upstream responses, in block order.
        headers: the headers that are the same for every caller.
    """

    etag: bytes
    fetched_at: float
    upstream_request_ids: tuple[str, ...]
    headers: Headers


@dataclass(frozen=True, slots=True, eq=False)
class RenderedResponse(ResponseHead):
    """A head with its JSON body, which is compressed at most once."""

    body: bytes
    gzip: GzipBody

    @property
    def size(self) -> int:
        """The memory in bytes, the compressed body included."""
        headers = (value for _, value in self.headers)
        parts = sum(map(getsizeof, (self.body, *headers, *self.upstream_request_ids)))
        return parts + self.gzip.size + OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class RenderedChanges:
    """What changed, the members of `meta` about it, and the hash of `data` for the ETag."""

    data: bytes
    meta: Mapping[str, Any]
    data_hash: "hashlib._Hash"

    @property
    def size(self) -> int:
        """The memory in bytes."""
        return getsizeof(self.data) + len(self.meta.get("warnings", ())) * WARNING_BYTES


def render_page(
    rows: Sequence[Row],
    blocks: Sequence[Block],
    sources: Sources,
    *,
    page: int,
    limit: int,
    total: int,
    inconsistent: bool,
    currency: str,
    link: str,
    include: Collection[str] = (),
) -> RenderedResponse:
    """Render one page of the list.

    `total` counts the orders of all pages. `include` says which of `rev`, `origin` and `raw` each
    row has in addition; if any, `blocks` has for each row the block that it was fetched with.
    """
    pages = -(-total // limit)
    meta: dict[str, Any] = {"page": page, "limit": limit, "total": total, "pages": pages}
    meta |= _rows_meta(rows, "/data/{}", currency)
    if inconsistent:
        meta["inconsistent"] = True
    headers: Headers = ((b"x-total-count", str(total).encode()),)
    if link:
        headers += ((b"link", link.encode()),)
    bodies = [row.body for row in rows]
    if include:
        bodies = [render_row(row, include, block) for row, block in zip(rows, blocks, strict=True)]
    return _render(b"[" + b",".join(bodies) + b"]", meta, sources, headers)


def render_row(row: Row, include: Collection[str], block: Block) -> bytes:
    """Return the JSON of a row of `block`, with the members that `include` names."""
    if not include:
        return row.body
    members = [row.body[:-1]]
    if "rev" in include:
        members.append(b'"rev":"%s"' % row.rev.encode())
    if "origin" in include:
        members.append(b'"origin":' + origin_json(block))
    if "raw" in include:
        members.append(b'"raw":' + row.raw)
    return b",".join(members) + b"}"


def origin_json(block: Block) -> bytes:
    """Return the JSON of a block's `Origin`."""
    origin = Origin(fetched_at=block.as_of)
    if block.request_id is not None:
        origin["upstream_request_id"] = block.request_id
    return to_json(origin)


def render_summary(
    totals: bytes, sources: Sources, *, inconsistent: bool, currency: str
) -> RenderedResponse:
    """Render a summary from the JSON of its totals."""
    meta: dict[str, Any] = {"inconsistent": True} if inconsistent else {}
    if currency:
        meta["currency"] = currency
    return _render(totals, meta, sources)


def render_single(row: Row, source: Entry[FetchedValue], *, currency: str) -> RenderedResponse:
    """Render one order or one payment."""
    return _render(row.body, _rows_meta([row], "/data", currency), [source])


async def render_change_list(changes: Sequence[Change], *, currency: str) -> RenderedChanges:
    """Render what changed, a few changes at a time.

    Raises:
        CursorExpired: it is larger than `MAX_CHANGES_BYTES`.
    """
    parts: list[bytes] = []
    size = 0
    async for chunk in cooperative_chunks(changes, CHANGES_PER_CHUNK):
        parts += map(_render_change, chunk)
        size += sum(map(len, parts[-len(chunk) :]))
        if size > MAX_CHANGES_BYTES:
            raise CursorExpired
    data = b"[" + b",".join(parts) + b"]"
    await asyncio.sleep(0)
    rows = [change.row for change in changes]
    meta = _rows_meta(rows, "/data/{}/order", currency)
    return RenderedChanges(data, meta, hashlib.sha256(data))


def render_changes(
    changes: RenderedChanges, sources: Sources, *, cursor: str, poll_after: int
) -> RenderedResponse:
    """Render what changed, the cursor of the present state and when to poll again in seconds."""
    # `poll_after` is part of the ETag: a 304 must not confirm an outdated one.
    meta = {"cursor": cursor, "poll_after": poll_after, **changes.meta}
    return _render(changes.data, meta, sources, data_hash=changes.data_hash)


def render_export_head(
    digest: bytes, sources: Sources, *, total: int, amount: str, cursor: str, inconsistent: bool
) -> ResponseHead:
    """Render ETag and headers of a file of `total` orders; `digest` is equal for equal files."""
    headers = [(b"x-total-count", b"%d" % total), (b"x-total-amount", amount.encode())]
    if inconsistent:
        headers.append((b"x-inconsistent", b"true"))
    elif cursor:
        headers.append((b"x-cursor", cursor.encode()))
    return _render_head(hashlib.sha256(digest + b"%d" % inconsistent), sources, tuple(headers))


def _render_change(change: Change) -> bytes:
    head = to_json({"change": change.change, "order_no": change.order_no})
    return head if change.row is None else head[:-1] + b',"order":' + change.row.body + b"}"


def _rows_meta(rows: Sequence[Row | None], pointer: str, currency: str) -> dict[str, Any]:
    """Return the warnings of the rows, and the currency of any amounts.

    `pointer` is the JSON pointer of a row, with `{}` for its index.
    """
    warnings = (
        {"pointer": f"{pointer.format(index)}/{unparsed.field}", "order_no": row.order_no}
        | ({"raw": unparsed.raw} if unparsed.raw is not None else {})
        for index, row in enumerate(rows)
        if row
        for unparsed in row.unparsed
    )
    count = sum(len(row.unparsed) for row in rows if row)
    meta: dict[str, Any] = {}
    if count:
        meta["warnings"] = list(islice(warnings, MAX_WARNINGS))
    if count > MAX_WARNINGS:
        meta["warnings_omitted"] = count - MAX_WARNINGS
    if currency and any(row.has_amount for row in rows if row):
        meta["currency"] = currency
    return meta


def _render(
    data: bytes,
    meta: dict[str, Any],
    sources: Sources,
    headers: Headers = (),
    *,
    data_hash: "hashlib._Hash | None" = None,
) -> RenderedResponse:
    """Render body and headers. `data_hash` is that of `data` if it has been computed already.

    The ETag leaves out `as_of`, `upstream_request_ids` and `upstream_responses`, which change with
    every refresh.
    """
    etag_hash = data_hash.copy() if data_hash else hashlib.sha256(data)
    etag_hash.update(to_json(meta))
    head = _render_head(etag_hash, sources, headers)
    ids = head.upstream_request_ids
    oldest = min(sources, key=_fetched_at)
    meta |= {"as_of": oldest.value.as_of, "upstream_request_ids": ids[:MAX_IDS_IN_BODY]}
    if len(ids) > MAX_IDS_IN_BODY:
        meta["upstream_responses"] = len(sources)
    body = b'{"data":' + data + b',"meta":' + to_json(meta) + b"}"
    return RenderedResponse(head.etag, head.fetched_at, ids, head.headers, body, GzipBody(body))


def _render_head(etag_hash: "hashlib._Hash", sources: Sources, headers: Headers) -> ResponseHead:
    etag = f'W/"{etag_hash.hexdigest()[:32]}"'.encode()
    ids = header_ids = _request_ids(sources)
    if len(ids) > MAX_IDS_IN_HEADER:
        newest = sorted(sources, key=_fetched_at, reverse=True)
        header_ids = _request_ids(newest)[:MAX_IDS_IN_HEADER]
    common = [(b"etag", etag), (b"cache-control", b"private, no-cache")]
    if ids:
        common.append((b"x-upstream-request-id", ", ".join(header_ids).encode()))
    if any(source.value.sandbox for source in sources):
        common.append((b"x-sandbox", b"true"))
    return ResponseHead(etag, min(map(_fetched_at, sources)), ids, (*common, *headers))


def _fetched_at(source: Entry[FetchedValue]) -> float:
    return source.fetched_at


def _request_ids(sources: Sources) -> tuple[str, ...]:
    ids = (source.value.request_id for source in sources)
    return tuple(request_id for request_id in ids if request_id is not None)


def link_header(path: str, query: str, page: int, pages: int) -> str:
    """Return the Link header (RFC 8288) of a page, keeping every parameter of `query`.

    It is empty if it would be longer than `MAX_LINK_BYTES`, as with many order numbers.
    """
    others = urlencode([pair for pair in parse_qsl(query) if pair[0] != "page"])
    suffix = f"&{others}" if others else ""
    last = max(pages, 1)
    targets = {"first": 1}
    if page > 1:
        targets["prev"] = min(page - 1, last)
    if page < pages:
        targets["next"] = page + 1
    targets["last"] = last
    link = ", ".join(
        f'<{path}?page={target}{suffix}>; rel="{rel}"' for rel, target in targets.items()
    )
    return link if len(link) <= MAX_LINK_BYTES else ""
