"""Runs the steps of the Dockerfile without a container engine: `make check-dockerfile`.

1. Every locked package must have a wheel for the Python version of the base image.
2. Each COPY and RUN is done with /build, /venv and /srv inside a temporary folder.
3. That folder is made read-only, and ENTRYPOINT with CMD is started in it; if possible (as root),
   as the user that USER names.
4. HEALTHCHECK must pass, SIGTERM must end the server with exit code 0, and no file may have
   changed.

The steps use this machine's Python, so the base image itself is not checked, nor are writes outside
the folder.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
IMAGE_FOLDER = re.compile(r"(?<![\w./])/(build|venv|srv)\b")
TIMEOUT = 30
HEALTH_RETRIES = 20


class Image:
    """The file system and settings that a Dockerfile describes, built in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"PATH": f"{folder}/bin:/usr/bin:/bin", "HOME": "/nonexistent"}
        self.work_dir = str(folder)
        self.user: int | None = None
        self.command: list[str] = []
        self.health_check: list[str] = []

    def apply(self, instruction: str, arguments: str) -> None:
        """Apply one instruction of the Dockerfile."""
        arguments = IMAGE_FOLDER.sub(rf"{self.folder}/\1", arguments)
        match instruction:
            case "COPY" if not arguments.startswith("--from"):
                _copy(*arguments.split())
            case "RUN":
                # The package index may be configured in the environment.
                pip = {name: value for name, value in os.environ.items() if name[:4] == "PIP_"}
                environ = self.environ | pip | {"PIP_QUIET": "1"}
                subprocess.run(  # noqa: S602  a command of our own Dockerfile
                    arguments, shell=True, check=True, env=environ, cwd=self.work_dir
                )
            case "ENV":
                for assignment in shlex.split(arguments):
                    name, _, value = assignment.partition("=")
                    self.environ[name] = value.replace("$PATH", self.environ["PATH"])
            case "WORKDIR":
                self.work_dir = arguments
            case "USER":
                self.user = int(arguments.partition(":")[0]) if os.geteuid() == 0 else None
            case "ENTRYPOINT" | "CMD":
                self.command += json.loads(arguments)
            case "HEALTHCHECK":
                self.health_check = json.loads(arguments.partition("CMD ")[2])
            case _:  # FROM, ARG, EXPOSE; and COPY --from, because all stages share the folder
                return
        print(f"  {instruction} {arguments[:90]}")

    def start(self, command: list[str], environ: Mapping[str, str]) -> "subprocess.Popen[str]":
        """Start a process as the container would."""
        return subprocess.Popen(
            command,
            env={**self.environ, **environ},
            cwd=self.work_dir,
            user=self.user,
            group=self.user,
            stderr=subprocess.PIPE,
            text=True,
        )


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction of a Dockerfile with its arguments."""
    code = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for line in code.replace("\\\n", " ").splitlines():
        instruction, _, arguments = line.strip().partition(" ")
        if instruction:
            yield instruction, arguments.strip()


def main() -> None:
    """Run all steps.

    Raises:
        AssertionError, CalledProcessError: A step failed.
    """
    dockerfile = (REPOSITORY / "Dockerfile").read_text("utf-8")
    with _temporary_folder() as folder:
        _check_wheels(dockerfile, folder)
        _write_python_command(folder / "bin")
        image = Image(folder)
        for instruction, arguments in instructions(dockerfile):
            image.apply(instruction, arguments)
        before = _make_read_only(folder)
        _check_server(image)
        changed = _state_of(folder).items() ^ before.items()
        assert not changed, f"files were changed: {changed}"
        print("  no file was changed")


def _check_wheels(dockerfile: str, folder: Path) -> None:
    version = re.findall(r"^ARG PYTHON=python:([0-9.]+)", dockerfile, re.MULTILINE)[0]
    options = ("--only-binary=:all:", "--require-hashes", "-r", "requirements.lock")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"),
            *("--python-version", version, "--target", str(folder / "none"), *options),
        ],
        cwd=REPOSITORY,
        check=True,
    )
    print(f"  every locked package has a wheel for Python {version}")


def _check_server(image: Image) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {
        "ORDERS_UPSTREAM__ACCESS_KEY_ID": "none",
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": "none",
        "ORDERS_CALLERS__ANONYMOUS": "true",
        "ORDERS_SERVER__PORT": str(port),
        # Overrides the image's 0.0.0.0, so that only this machine can connect.
        "ORDERS_SERVER__HOST": "127.0.0.1",
    }
    with image.start(image.command, environ) as server:
        try:
            assert server.stderr
            first = server.stderr.readline()
            assert f"127.0.0.1:{port}" in first, first + server.stderr.read()
            _check_health(image, environ)
            server.send_signal(signal.SIGTERM)
            assert server.wait(TIMEOUT) == 0, "SIGTERM did not end the server with exit code 0"
        finally:
            server.kill()
    print(f"  as user {image.user or os.geteuid()}: started, healthy, ended by SIGTERM")
    with image.start(image.health_check, environ) as check:
        check.communicate(timeout=TIMEOUT)
    assert check.returncode, "the health check passes without a server"


def _check_health(image: Image, environ: Mapping[str, str]) -> None:
    # Engines pass the proxy of the machine to containers.
    environ = {**environ, **dict.fromkeys(("http_proxy", "HTTP_PROXY"), "http://127.0.0.1:1")}
    # The server logs its address just before it accepts connections. Engines retry too.
    for _ in range(HEALTH_RETRIES):
        with image.start(image.health_check, environ) as check:
            errors = check.communicate(timeout=TIMEOUT)[1]
        if not check.returncode:
            return
    raise AssertionError(errors)


def _copy(source: str, target: str) -> None:
    if target.endswith("/"):
        Path(target).mkdir(parents=True)
        shutil.copy(REPOSITORY / source, target)
    else:
        ignored = shutil.ignore_patterns("__pycache__", ".env*")
        shutil.copytree(REPOSITORY / source, target, ignore=ignored)


def _write_python_command(folder: Path) -> None:
    """Write the image's `python` command.

    It runs a Python that other users may execute. That one may lack pip, so `python -m pip` runs
    the Python of this process.
    """
    candidates = (Path(sys.base_prefix) / "bin" / "python3", Path("/usr/bin/python3"))
    python = next((path for path in candidates if _all_may_execute(path)), candidates[0])
    folder.mkdir()
    script = folder / "python"
    script.write_text(
        f'#!/bin/sh\n[ "$1 $2" = "-m pip" ] && exec {sys.executable} "$@"\nexec {python} "$@"\n'
    )
    script.chmod(0o755)


def _all_may_execute(file: Path) -> bool:
    return file.exists() and all(path.stat().st_mode & 0o1 for path in (file, *file.parents))


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            for path in (folder, *folder.rglob("*")):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o755)


def _make_read_only(folder: Path) -> dict[Path, tuple[int, int]]:
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o555)
    folder.chmod(0o555)
    return _state_of(folder)


def _state_of(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return size and modification time of each file."""
    states = {path: path.lstat() for path in folder.rglob("*")}
    return {path: (state.st_size, state.st_mtime_ns) for path, state in states.items()}


if __name__ == "__main__":
    main()
