"""`make image`: does what the Dockerfile says, where there is no engine that could build it.

There has to be a locked wheel of everything for the Python of the base image. Every COPY and RUN is
done with /build, /venv and /srv in a temporary folder. Then nobody may write there any more, and
ENTRYPOINT and CMD are started, as a user who owns nothing if we may choose one, until HEALTHCHECK
has passed and SIGTERM has ended it. It cannot show the base image itself (the steps are done with
this machine's Python), nor that nothing is written elsewhere.
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
MOVED = re.compile(r"(?<![\w./])/(build|venv|srv)\b")
SECONDS = 30


class Image:
    """What the Dockerfile builds, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"PATH": f"{folder}/bin:/usr/bin:/bin", "HOME": "/nonexistent"}
        self.work_dir = str(folder)
        self.user: int | None = None
        self.start: list[str] = []
        self.health: list[str] = []

    def do(self, word: str, rest: str) -> None:
        """One instruction."""
        rest = MOVED.sub(rf"{self.folder}/\1", rest)
        match word:
            case "COPY" if not rest.startswith("--from"):
                _copy(*rest.split())
            case "RUN":
                # Only here an index is asked, and where it is may stand in the environment.
                index = {name: told for name, told in os.environ.items() if name[:4] == "PIP_"}
                environ = self.environ | index | {"PIP_QUIET": "1"}
                subprocess.run(rest, shell=True, check=True, env=environ, cwd=self.work_dir)  # noqa: S602  it is ours
            case "ENV":
                for one in shlex.split(rest):
                    name, _, value = one.partition("=")
                    self.environ[name] = value.replace("$PATH", self.environ["PATH"])
            case "WORKDIR":
                self.work_dir = rest
            case "USER":
                self.user = int(rest.partition(":")[0]) if os.geteuid() == 0 else None
            case "ENTRYPOINT" | "CMD":
                self.start += json.loads(rest)
            case "HEALTHCHECK":
                self.health = json.loads(rest.partition("CMD ")[2])
            case _:  # FROM, ARG, EXPOSE and what is copied between the stages: all is here already
                return
        print(f"  {word} {rest[:90]}")

    def runs(self, command: list[str], environ: Mapping[str, str]) -> "subprocess.Popen[str]":
        """A process of the container."""
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
    """The instructions of a Dockerfile, in order."""
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for line in kept.replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word:
            yield word, rest.strip()


def main() -> None:
    """Do it all; the first thing that fails is raised."""
    text = (REPOSITORY / "Dockerfile").read_text("utf-8")
    with _folder() as folder:
        _has_wheels(text, folder)
        _python(folder / "bin")
        image = Image(folder)
        for word, rest in instructions(text):
            image.do(word, rest)
        before = _sealed(folder)
        _serves(image)
        written = _state_of(folder).items() ^ before.items()
        assert not written, f"it wrote: {written}"
        print("  nothing was written")


def _has_wheels(text: str, folder: Path) -> None:
    version = re.findall(r"^ARG PYTHON=python:([0-9.]+)", text, re.MULTILINE)[0]
    options = ("--only-binary=:all:", "--require-hashes", "-r", "requirements.lock")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"),
            *("--python-version", version, "--target", str(folder / "none"), *options),
        ],
        cwd=REPOSITORY,
        check=True,
    )
    print(f"  a locked wheel of everything for Python {version}")


def _serves(image: Image) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {
        "ORDERS_UPSTREAM__ACCESS_KEY_ID": "none",
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": "none",
        "ORDERS_CALLERS__ANONYMOUS": "true",
        "ORDERS_SERVER__PORT": str(port),
        # The image listens to all the world; this machine should not.
        "ORDERS_SERVER__HOST": "127.0.0.1",
    }
    with image.runs(image.start, environ) as server:
        try:
            assert server.stderr
            first = server.stderr.readline()
            assert first.startswith("orders-bff is at"), first + server.stderr.read()
            _is_well(image, environ)
            server.send_signal(signal.SIGTERM)
            assert server.wait(SECONDS) == 0, "it was told to leave, and left badly"
        finally:
            server.kill()
    print(f"  as user {image.user or os.geteuid()}: served, was well, and left with SIGTERM")
    with image.runs(image.health, environ) as check:
        check.communicate(timeout=SECONDS)
    assert check.returncode, "the health check passes without a server"


def _is_well(image: Image, environ: Mapping[str, str]) -> None:
    # The address is told a moment before it is answered at; an engine asks more than once too.
    for _ in range(20):
        with image.runs(image.health, environ) as check:
            told = check.communicate(timeout=SECONDS)[1]
        if not check.returncode:
            return
    raise AssertionError(told)


def _copy(source: str, target: str) -> None:
    if target.endswith("/"):
        Path(target).mkdir(parents=True)
        shutil.copy(REPOSITORY / source, target)
    else:
        shutil.copytree(
            REPOSITORY / source, target, ignore=shutil.ignore_patterns("__pycache__", ".env*")
        )


def _python(folder: Path) -> None:
    """The image's `python`: one that others may run, with a pip, which this machine's may lack."""
    candidates = (Path(sys.base_prefix) / "bin" / "python3", Path("/usr/bin/python3"))
    found = next((one for one in candidates if _is_for_all(one)), candidates[0])
    folder.mkdir()
    script = folder / "python"
    script.write_text(
        f'#!/bin/sh\n[ "$1 $2" = "-m pip" ] && exec {sys.executable} "$@"\nexec {found} "$@"\n'
    )
    script.chmod(0o755)


def _is_for_all(file: Path) -> bool:
    return file.exists() and all(one.stat().st_mode & 0o1 for one in (file, *file.parents))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            for path in (folder, *folder.rglob("*")):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o755)


def _sealed(folder: Path) -> dict[Path, tuple[int, int]]:
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o555)
    folder.chmod(0o555)
    return _state_of(folder)


def _state_of(folder: Path) -> dict[Path, tuple[int, int]]:
    states = {path: path.lstat() for path in folder.rglob("*")}
    return {path: (state.st_size, state.st_mtime_ns) for path, state in states.items()}


if __name__ == "__main__":
    main()
