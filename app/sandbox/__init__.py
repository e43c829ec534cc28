"""An embedded upstream: a strict mock of the vendor's API with fault injection on demand."""

from app.sandbox.app import Sandbox
from app.sandbox.faults import KINDS, Fault
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer

__all__ = ["KINDS", "Fault", "Options", "Sandbox", "SandboxServer"]
