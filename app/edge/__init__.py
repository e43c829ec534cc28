"""ASGI middleware and FastAPI routes that do not depend on orders."""
