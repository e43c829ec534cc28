"""An upstream to try the proxy with: the vendor's protocol, strictly, and every fault on demand."""

from app.sandbox.app import Sandbox, create_sandbox
from app.sandbox.faults import KINDS, Fault
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer

__all__ = ["KINDS", "Fault", "Options", "Sandbox", "SandboxServer", "create_sandbox"]
