"""A process with a low limit of open files, and clients that would use all of them."""

import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.process import SERVE, ServerProcess, read_response, request_bytes, serving

FLOOD = 300


def cpu_seconds(pid: int) -> float:
    """Return the user and system CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def is_served(process: ServerProcess) -> bool:
    """Return whether a new client is served, once the server has noticed that others closed."""
    for _ in range(100):
        with suppress(ConnectionError), process.send("/livez") as client:
            if read_response(client)[0] == 200:
                return True
    return False


@pytest.mark.parametrize(
    ("files", "connections"), [(128, 32), (19, 1)], ids=["few", "fewer than needed"]
)
def test_a_flood_of_connections_leaves_files_for_served_clients_and_the_upstream(
    files: int, connections: int
) -> None:
    limited = ("sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *SERVE)
    with serving(limited) as process:
        assert process.startup_lines[0] == (
            f"warning: ORDERS_SERVER__MAX_CONNECTIONS is reduced to {connections}"
            " by the limit of open files\n"
        )
        process.inject("latency=1,path=get-orders")
        with process.send("/livez") as first:
            assert read_response(first)[0] == 200
            used = cpu_seconds(process.popen.pid)
            flood = [socket.socket() for _ in range(FLOOD)]
            for client in flood:
                client.setblocking(False)
                client.connect_ex(process.address)
            # The first, slow call to the upstream needs files of its own, and takes long enough to
            # notice a busy loop by its CPU time.
            first.sendall(request_bytes("/v1/orders"))
            assert read_response(first)[0] == 200 or files < 20
            first.sendall(request_bytes("/livez"))
            assert read_response(first)[0] == 200
            assert cpu_seconds(process.popen.pid) - used < 0.8
            for client in flood:
                client.close()
        assert is_served(process)
        process.stop()
        assert process.wait() == 0
    assert process.errors == ""


def test_the_soft_limit_of_open_files_is_raised() -> None:
    limited = ("sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh", *SERVE)
    with serving(limited, ORDERS_SERVER__MAX_CONNECTIONS="100") as process:
        assert process.startup_lines[0].startswith("orders-bff is running at ")
        clients = [process.send("/livez") for _ in range(100)]
        assert {read_response(client)[0] for client in clients} == {200}
        for client in clients:
            client.close()
        process.stop()
        assert process.wait() == 0
