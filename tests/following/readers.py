"""Clients of the proxy, which compare what they get with the list."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

import httpx

from tests.following.upstream import ChangingList

RETRY_SECONDS = 0.2
LIMITS = (10, 30, 40, 49, 50)


class Readers:
    """Reads pages and exports and follows the changes, until it is cancelled.

    Attributes:
        counts: how often what happened.
        copy: what the follower has: the amount of each order.
    """

    def __init__(self, client: httpx.AsyncClient, orders: ChangingList, rng: Random) -> None:
        self._client = client
        self._orders = orders
        self._rng = rng
        self.counts: Counter[str] = Counter()
        self.copy: dict[str, str] = {}

    async def read_pages(self) -> None:
        """Read one page after the other."""
        while True:
            limit, page = self._rng.choice(LIMITS), self._rng.randrange(1, 6)
            response = await self._get("/v1/orders", page=page, limit=limit)
            if response.status_code == 200:
                self._check_page(response.json(), (page - 1) * limit, page * limit)
            await asyncio.sleep(0.05)

    async def read_exports(self) -> None:
        """Read one export after the other."""
        while True:
            await self._export()
            await asyncio.sleep(0.1)

    async def follow(self) -> None:
        """Take the export, and apply the changes since its cursor, by the documented recipe."""
        cursor = ""
        while True:
            if not cursor:
                self.copy, cursor = await self._export() or ({}, "")
                await asyncio.sleep(RETRY_SECONDS)
                continue
            response = await self._get("/v1/orders/changes", since=cursor)
            if response.status_code == 410:
                cursor = ""
            elif response.status_code == 200:
                body = response.json()
                self._apply(body["data"])
                cursor = body["meta"]["cursor"]
            await asyncio.sleep(RETRY_SECONDS)

    async def _export(self) -> tuple[dict[str, str], str] | None:
        """Return an export by order number and its cursor, None if it failed or has none."""
        response = await self._get("/v1/orders/export", format="ndjson", include="origin")
        if response.status_code != 200:
            return None
        rows = [json.loads(line) for line in response.text.splitlines() if line]
        self.counts["exports"] += 1
        if response.headers.get("x-inconsistent") == "true":
            self.counts["marked exports"] += 1
            return None
        first, last = self._versions(row["origin"]["upstream_request_id"] for row in rows)
        removed_in = self._orders.removed_in
        throughout = {
            number
            for number in self._orders.versions[first]
            if removed_in.get(number, last + 1) > last
        }
        lost = throughout - {row["order_no"] for row in rows}
        self.counts["incomplete exports"] += bool(lost)
        self.counts["lost orders"] += len(lost)
        return _amounts(rows), response.headers.get("x-cursor", "")

    def _check_page(self, body: Mapping[str, Any], start: int, stop: int) -> None:
        meta = body["meta"]
        self.counts["pages"] += 1
        if meta.get("inconsistent"):
            self.counts["marked pages"] += 1
            return
        first, last = self._versions(meta["upstream_request_ids"])
        versions = self._orders.versions[first : last + 1]
        in_range = set.intersection(*(set(numbers[start:stop]) for numbers in versions))
        lost = in_range - {row["order_no"] for row in body["data"]}
        self.counts["incomplete pages"] += bool(lost)

    def _apply(self, changes: Iterable[Mapping[str, Any]]) -> None:
        for change in changes:
            number = change["order_no"]
            self.counts["changes"] += 1
            if change["change"] == "removed":
                self.counts["removals"] += 1
                self.counts["false removals"] += number not in self._orders.removed_in
                self.copy.pop(number, None)
            else:
                self.copy |= _amounts([change["order"]])

    def _versions(self, request_ids: Iterable[str]) -> tuple[int, int]:
        """Return the first and the last version of the list that these answers may be of."""
        spans = [self._orders.answers[request_id] for request_id in set(request_ids)]
        return min(first for first, _ in spans), max(last for _, last in spans)

    async def _get(self, path: str, **params: str | int) -> httpx.Response:
        response = await self._client.get(path, params=params)
        if response.status_code != 200:
            self.counts[f"{path}: {response.status_code}"] += 1
        return response


def _amounts(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {row["order_no"]: row["actual_amount"] for row in rows}
