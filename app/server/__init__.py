"""uvicorn and the sockets: connections, limits, graceful shutdown."""
