"""Change a list at random behind a proxy, read it, and report what was lost."""

import argparse
import asyncio
import sys
from collections import Counter
from random import Random

import httpx

from tests.following.readers import Readers
from tests.following.upstream import ChangingList, Upstream
from tests.support.running_proxy import KEY, serving_proxy

TTL = 1.0
BAD = ("incomplete exports", "incomplete pages", "false removals", "copies that differ")


async def run(seed: int, inserts: str, changes: int, rate: float) -> Counter[str]:
    """Run once; return how often what happened."""
    rng = Random(seed)  # noqa: S311  not a secret
    orders = ChangingList(rng, inserts, size=137)
    upstream = Upstream(orders, latency=0.05)
    async with upstream.serve() as origin:
        with serving_proxy(
            origin,
            ORDERS_UPSTREAM__ALLOW_HTTP="true",
            ORDERS_CACHE__TTL=str(TTL),
        ) as proxy:
            headers = {"X-API-Key": KEY}
            async with httpx.AsyncClient(base_url=proxy, headers=headers, timeout=30) as client:
                readers = Readers(client, orders, rng)
                tasks = [
                    asyncio.create_task(work())
                    for work in (readers.read_pages, readers.read_exports, readers.follow)
                ]
                for _ in range(changes):
                    await asyncio.sleep(rng.expovariate(rate))
                    orders.change()
                await asyncio.sleep(6 * TTL)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    expected = {number: f"{orders.prices[number]}.00" for number in orders.versions[-1]}
    readers.counts["copies that differ"] += readers.copy != expected
    readers.counts["versions"] += orders.version
    readers.counts["calls"] += upstream.calls
    return readers.counts


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.following", description=__doc__)
    parser.add_argument("--runs", type=int, default=13)
    parser.add_argument("--changes", type=int, default=200, help="in each run")
    parser.add_argument("--rate", type=float, default=10.0, help="changes per second")
    parser.add_argument("--inserts", default="front", choices=("front", "back", "anywhere"))
    args = parser.parse_args()
    total: Counter[str] = Counter()
    for seed in range(args.runs):
        counts = asyncio.run(run(seed, args.inserts, args.changes, args.rate))
        print(f"run {seed}:", ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items())))
        total += counts
    print("together:", ", ".join(f"{name} {n:,}" for name, n in sorted(total.items())))
    return int(args.inserts != "anywhere" and any(total[name] for name in BAD))


if __name__ == "__main__":
    sys.exit(main())
