"""A process that may open few files, and callers who would take them all."""

import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.process import SERVE, ServerProcess, read_response, request_bytes, serving

FLOOD = 300


def cpu_seconds(pid: int) -> float:
    """What a process has used, in and under user space."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def is_served(process: ServerProcess) -> bool:
    """Whether a new caller is let in, once the server has seen that the others are gone."""
    for _ in range(100):
        with suppress(ConnectionError), process.send("/livez") as caller:
            if read_response(caller)[0] == 200:
                return True
    return False


@pytest.mark.parametrize(
    ("files", "connections"), [(128, 32), (19, 1)], ids=["few", "fewer than are needed"]
)
def test_a_flood_of_connections_takes_no_file_from_those_who_are_served(
    files: int, connections: int
) -> None:
    limited = ("sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *SERVE)
    with serving(limited) as process:
        assert process.startup_lines[0] == (
            f"warning: ORDERS_SERVER__MAX_CONNECTIONS counts as {connections}: "
            "there may be no more open files\n"
        )
        process.inject("latency=1,path=get-orders")
        with process.send("/livez") as first:
            assert read_response(first)[0] == 200
            used = cpu_seconds(process.popen.pid)
            flood = [socket.socket() for _ in range(FLOOD)]
            for caller in flood:
                caller.setblocking(False)
                caller.connect_ex(process.address)
            # The upstream is slow and asked for the first time: it needs files of its own, if any
            # are left, and whoever spins meanwhile is seen.
            first.sendall(request_bytes("/v1/orders"))
            assert read_response(first)[0] == 200 or files < 20
            first.sendall(request_bytes("/livez"))
            assert read_response(first)[0] == 200
            assert cpu_seconds(process.popen.pid) - used < 0.8
            for caller in flood:
                caller.close()
        assert is_served(process)
        process.stop()
        assert process.wait() == 0
    assert process.errors == ""


def test_as_many_files_are_opened_as_the_system_allows() -> None:
    """The soft limit is a default of old, and ours to raise."""
    limited = ("sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh", *SERVE)
    with serving(limited, ORDERS_SERVER__MAX_CONNECTIONS="100") as process:
        assert process.startup_lines[0].startswith("orders-bff is at ")
        callers = [process.send("/livez") for _ in range(100)]
        assert {read_response(caller)[0] for caller in callers} == {200}
        for caller in callers:
            caller.close()
        process.stop()
        assert process.wait() == 0
