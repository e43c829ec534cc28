"""The dashboard's modules pass TypeScript's checks of their JSDoc types."""

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
def test_the_modules_pass_the_type_check() -> None:
    result = subprocess.run(
        [str(COMPILER), "--project", str(NODE)], capture_output=True, text=True, check=False
    )
    assert result.stdout == ""
    assert result.returncode == 0
