"""Compares the locked packages with known vulnerabilities: `make audit`.

`python -m tools.audit PIP_AUDIT [--if-possible]`. pip-audit exits with 0 also if its vulnerability
service cannot be reached; here that is an error, unless `--if-possible` is given. It is said then.
"""

import json
import subprocess
import sys
from typing import Any


def audit(pip_audit: str) -> list[dict[str, Any]]:
    """Return what pip-audit says of each locked package; nothing if it fails."""
    command = [pip_audit, "--disable-pip", "--require-hashes", "--progress-spinner", "off"]
    command += ["--format", "json", "--requirement", "requirements.lock"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(result.stdout)["dependencies"]
    except ValueError:
        return []
    return found


def report(packages: list[dict[str, Any]], *, if_possible: bool) -> int:
    """Print the vulnerabilities; return the exit code."""
    audited = [package for package in packages if "skip_reason" not in package]
    if not audited:
        print("Nothing was audited: no vulnerability service can be reached from this network.")
        return 0 if if_possible else 1
    vulnerable = [package for package in audited if package["vulns"]]
    for package in vulnerable:
        ids = ", ".join(vulnerability["id"] for vulnerability in package["vulns"])
        print(f"{package['name']} {package['version']}: {ids}")
    for package in packages:
        if "skip_reason" in package:
            print(f"{package['name']}: not audited")
    print(f"{len(audited)} of {len(packages)} packages audited, {len(vulnerable)} vulnerable")
    return 1 if vulnerable or len(audited) < len(packages) else 0


if __name__ == "__main__":
    sys.exit(report(audit(sys.argv[1]), if_possible="--if-possible" in sys.argv))
