"""The limits of the server as configured by default."""

from dataclasses import fields
from typing import Any

from app.server.limits import Limits
from app.settings.models import Server


def default_limits(**changes: Any) -> Limits:
    """Return the default limits with `changes`."""
    defaults = {field.name: Server.model_fields[field.name].default for field in fields(Limits)}
    return Limits(**(defaults | changes))
