"""The dashboard's modules keep the types that their comments promise."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NODE = Path(__file__).parent / "node"
COMPILER = NODE / "node_modules" / ".bin" / "tsc"


@pytest.mark.skipif(
    os.environ.get("CI") != "true" and not (COMPILER.exists() and shutil.which("node")),
    reason="needs Node, and `npm ci --prefix tests/dashboard/node`",
)
def test_the_modules_keep_their_types() -> None:
    told = subprocess.run(
        [str(COMPILER), "--project", str(NODE)], capture_output=True, text=True, check=False
    )
    assert told.stdout == ""
    assert told.returncode == 0
