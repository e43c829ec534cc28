"""Runs `make run` and `make test` on other versions of Python: `make test-pythons`.

For each version, debootstrap creates a minimal Debian from the oldest suite that packages it. In
there, an ordinary user with an empty home runs both commands in a fresh clone of the last commit.

The Debian mirror, and pip's index, proxy and certificates, are those configured on this machine.
debootstrap, chroot and the mount namespace need root. The Debian folders stay in `build/pythons`
for the next run; `make clean` removes them.
"""

import argparse
import ast
import json
import lzma
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
ROOTS = REPOSITORY / "build" / "pythons"
SUITES = ("oldstable", "stable", "testing", "unstable")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
HOME = "/home/newcomer"
CLONE = f"{HOME}/orders-bff"
USER = 1000
START_TIMEOUT = 300
TEST_TIMEOUT = 1800
# Settings of pip that concern the network. Others may name files of this machine.
PIP_SETTINGS = ("index-url", "extra-index-url", "proxy", "trusted-host", "default-timeout")


class CannotTestError(Exception):
    """This machine lacks something that a test needs."""


class FailedError(Exception):
    """One of the two commands does not work on a version."""


def main() -> int:
    """Test each version in turn. Return 0 if both commands work on all of them."""
    parser = argparse.ArgumentParser(prog="make test-pythons", description=__doc__)
    parser.add_argument("versions", nargs="+", metavar="VERSION", help="for example 3.14")
    results = {version: test(version) for version in parser.parse_args().versions}
    for version, problem in results.items():
        print(f"Python {version}: {problem or 'make run and make test work'}")
    return int(any(results.values()))


def test(version: str) -> str | None:
    """Run both commands on one version. Return what is wrong, or None."""
    try:
        root = make_root(version)
        clone_into(root)
        run_proxy(root)
        run_tests(root)
    except CannotTestError as error:
        return f"NOT TESTED: {error}"
    except FailedError as error:
        return f"FAILED: {error}"
    return None


def make_root(version: str) -> Path:
    """Return the folder of a Debian whose only Python is `version`. Create it if it is missing."""
    if os.geteuid() != 0:
        raise CannotTestError("debootstrap and chroot need root")
    for program in ("debootstrap", "unshare", "apt-get"):
        if not shutil.which(program):
            raise CannotTestError(f"the program {program} is not installed")
    root = ROOTS / version
    complete = ROOTS / f"{version}.complete"
    if not complete.exists():
        mirror = apt_mirror()
        suite = suite_with(f"python{version}", mirror)
        say(version, f"creating a Debian {suite} in {root.relative_to(REPOSITORY)}")
        shutil.rmtree(root, ignore_errors=True)
        ROOTS.mkdir(parents=True, exist_ok=True)
        packages = f"ca-certificates,make,python{version},python{version}-venv"
        log = ROOTS / f"{version}-debootstrap.log"
        options = ("--variant=minbase", f"--include={packages}")
        with log.open("w") as output:
            done = subprocess.run(
                ["debootstrap", *options, suite, str(root), mirror],
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            raise CannotTestError(f"debootstrap failed, see {log.relative_to(REPOSITORY)}")
        complete.touch()
    # A network with a TLS proxy has certificates of its own, which pip has to trust.
    if Path(CERTIFICATES).exists():
        shutil.copyfile(CERTIFICATES, root / CERTIFICATES[1:])
    shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
    return root


def apt_mirror() -> str:
    """Return the address of the Debian mirror that apt uses."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(SITE)"],
        capture_output=True,
        text=True,
        check=False,
    )
    mirrors = re.findall(r"^Debian Debian (http\S+)", listed.stdout, re.MULTILINE)
    if not mirrors:
        raise CannotTestError("apt has no Debian mirror here (or needs apt-get update)")
    return str(mirrors[0]).rstrip("/")


def suite_with(package: str, mirror: str) -> str:
    """Return the first of `SUITES` that has `package`."""
    dpkg = ("dpkg", "--print-architecture")
    architecture = subprocess.run(dpkg, capture_output=True, text=True, check=True).stdout.strip()
    for suite in SUITES:
        url = f"{mirror}/dists/{suite}/main/binary-{architecture}/Packages.xz"
        try:
            with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310  apt's own URL
                packages = lzma.decompress(response.read())
        except urllib.error.URLError as error:
            raise CannotTestError(f"{suite} of the mirror cannot be read: {error}") from error
        if f"\nPackage: {package}\n".encode() in packages:
            return suite
    raise CannotTestError(f"no suite of Debian has the package {package}")


def clone_into(root: Path) -> None:
    """Clone the last commit into a new, otherwise empty home."""
    home = root / HOME[1:]
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    subprocess.run(
        ["git", "clone", "--quiet", "--no-local", str(REPOSITORY), str(root / CLONE[1:])],
        check=True,
    )
    for path in (home, *home.rglob("*")):
        os.chown(path, USER, USER, follow_symlinks=False)


def pip_environ() -> dict[str, str]:
    """Return this machine's `PIP_SETTINGS` as environment variables for pip."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    environ = {"PIP_CERT": CERTIFICATES}
    for name, value in re.findall(r"^[^=]*\.([a-z-]+)=(.*)$", listed.stdout, re.MULTILINE):
        # Folders of this machine do not exist in the Debian.
        servers = [each for each in ast.literal_eval(value).split() if "file:" not in each]
        if name in PIP_SETTINGS and servers:
            environ["PIP_" + name.upper().replace("-", "_")] = " ".join(servers)
    return environ


def start(
    root: Path, target: str, log: Path, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start `make TARGET` in the Debian, as an ordinary user. It ends with this process."""
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    variables = {
        "HOME": HOME,
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        **proxies,
        **pip_environ(),
        **environ,
    }
    script = (
        'mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/dev/shm" &&'
        f' exec chroot --userspec={USER}:{USER} "$0" /bin/sh -c "cd {CLONE} && make {target}"'
    )
    with log.open("wb") as output:
        return subprocess.Popen(
            [
                "unshare",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                script,
                str(root),
            ],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def run_proxy(root: Path) -> None:
    """Run `make run` until it has answered with a page of orders, then interrupt it."""
    log = ROOTS / f"{root.name}-run.log"
    say(root.name, f"make run, log in {log.relative_to(REPOSITORY)}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = start(root, "run", log, {"ORDERS_SERVER__PORT": str(port)})
    began = time.monotonic()
    try:
        while not answers(f"http://127.0.0.1:{port}/readyz"):
            if process.poll() is not None or time.monotonic() - began > START_TIMEOUT:
                raise FailedError(f"make run does not get ready: {last_lines(log)}")
            time.sleep(0.2)
        say(root.name, f"ready after {time.monotonic() - began:.0f} s")
        page = answers(f"http://127.0.0.1:{port}/v1/orders?limit=3")
        if not page or len(json.loads(page)["data"]) != 3:
            raise FailedError(f"make run does not answer with orders: {last_lines(log)}")
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            raise FailedError("make run does not end at an interrupt") from None
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bytes | None:
    """Return the body of a response with status 200, or None."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310  always loopback
            body: bytes = response.read()
            return body
    except OSError:
        return None


def run_tests(root: Path) -> None:
    """Run `make test`."""
    log = ROOTS / f"{root.name}-test.log"
    say(root.name, f"make test, log in {log.relative_to(REPOSITORY)}")
    began = time.monotonic()
    process = start(root, "test", log, {})
    try:
        code = process.wait(TEST_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise FailedError(f"make test did not end in {TEST_TIMEOUT} s") from None
    finally:
        process.kill()
        process.wait()
    if code:
        raise FailedError(f"make test: {last_lines(log)}")
    say(root.name, f"make test passed in {time.monotonic() - began:.0f} s")


def last_lines(log: Path) -> str:
    """Return the end of a log, to be read in a terminal."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return "\n    ".join(("", *lines[-15:]))


def say(version: str, text: str) -> None:
    """Print one line of progress."""
    print(f"Python {version}: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
