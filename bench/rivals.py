"""nginx and Varnish as caches in front of the proxy, with the configurations in this folder.

Both are measured serving from their own cache; the proxy behind them only fills it.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.servers import ORIGIN, ServerProcess, pinned, wait_for

_FOLDER = Path(__file__).parent
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  files that are not to be written to a disk


@contextmanager
def start_nginx(port: int, backend: int, keys: Sequence[str]) -> Iterator[ServerProcess | None]:
    """Run nginx with these API keys; yield None if it is not installed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        yield None
        return
    with _temporary_folder() as folder:
        map_lines = (f'"{key}" "caller-{number}";\n' for number, key in enumerate(keys))
        (folder / "keys.map").write_text("".join(map_lines), "utf-8")
        values = {"folder": folder, "port": port, "backend": backend, "origin": ORIGIN}
        config = _fill("nginx.conf", folder, **values)
        with _run([program, "-c", str(config), "-e", str(folder / "error.log")], port) as server:
            yield server


@contextmanager
def start_varnish(port: int, backend: int, key: str) -> Iterator[ServerProcess | None]:
    """Run Varnish with this API key; yield None if it is not installed."""
    program = shutil.which("varnishd") or shutil.which("varnishd", path="/usr/sbin")
    if program is None:
        yield None
        return
    with _temporary_folder() as folder:
        config = _fill("varnish.vcl", folder, backend=backend, key=key)
        arguments = ["-F", "-n", str(folder / "work"), "-a", f"127.0.0.1:{port}", "-f", str(config)]
        # Threads that do not end, so that none of their CPU time is lost.
        for parameter in ("thread_pools=1", "thread_pool_min=100", "thread_pool_max=100"):
            arguments += ["-p", parameter]
        with _run([program, *arguments, "-s", "malloc,256m"], port) as server:
            yield server


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    shared = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="orders-bff-bench-", dir=shared) as name:
        Path(name).chmod(0o755)  # the workers run as another user
        yield Path(name)


def _fill(name: str, into: Path, **values: object) -> Path:
    """Write the configuration `name` with these values into a folder."""
    text = (_FOLDER / name).read_text("utf-8")
    for key, value in values.items():
        text = text.replace(f"{{{key}}}", str(value))
    path = into / name
    path.write_text(text, "utf-8")
    return path


@contextmanager
def _run(command: list[str], port: int) -> Iterator[ServerProcess]:
    log = tempfile.TemporaryFile()  # noqa: SIM115  it is read after the process has ended
    with subprocess.Popen(pinned(command), stdout=log, stderr=log) as process:
        try:
            wait_for(port, process)
            yield ServerProcess(process.pid, log)
        finally:
            process.terminate()
            process.wait(20)
