"""The issuers of one process: that of the callers' tokens, that of the login, or one for both."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from app.clock import Clock
from app.http import AsyncBaseTransport
from app.identity.issuer import Issuer
from app.identity.issuer_client import IssuerClient


class Issuers:
    """The configured issuers, each with a client of its own. Nothing is fetched until `start`.

    Args:
        proxies: by the URL of each issuer, the egress proxy to it.
        clock: the source of time.
        on_change: called when a key of one of them is not trusted any more.
        ca_file: a private CA in addition to the system's.
        transport: the network; the real one by default.
    """

    def __init__(
        self,
        proxies: dict[str, str | None],
        clock: Clock,
        *,
        on_change: Callable[[], None] = lambda: None,
        ca_file: Path | None = None,
        transport: AsyncBaseTransport | None = None,
    ) -> None:
        self.clients = {
            url: IssuerClient(clock, transport=transport, ca_file=ca_file, proxy=proxy)
            for url, proxy in proxies.items()
        }
        self.issuers = {
            url: Issuer(url, client, clock, on_change=on_change)
            for url, client in self.clients.items()
        }

    def start(self) -> None:
        """Fetch what the issuers publish, in the background."""
        for issuer in self.issuers.values():
            issuer.start()

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for fetches in progress, then close the connections."""
        await asyncio.gather(*(issuer.close(timeout) for issuer in self.issuers.values()))
        await asyncio.gather(*(client.aclose() for client in self.clients.values()))
