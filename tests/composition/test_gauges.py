"""Values that metrics read from the components."""

from app.composition.gauges import last_successes
from tests.support.book import BookHarness
from tests.support.upstream import ScriptedUpstream, client_of


async def test_a_list_that_another_process_has_fetched_counts_as_read():
    """The client of this process has made no call, and the book has blocks."""
    harness = BookHarness(120)
    client = client_of(ScriptedUpstream(), harness.clock)
    assert last_successes(client, harness.book, harness.clock) == {}

    fetched_at = harness.clock.now().timestamp()
    await harness.book.window(0, 50)
    await harness.clock.advance(30)
    times = last_successes(client, harness.book, harness.clock)
    assert times == {("get-orders",): fetched_at}

    await client.list_orders(1, deadline=harness.clock.monotonic() + 8)
    times = last_successes(client, harness.book, harness.clock)
    assert times["get-orders",] == fetched_at + 30
    assert times["get-management-token",] == fetched_at + 30
