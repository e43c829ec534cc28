"""The dashboard: static files that use the API over HTTP, and the routes that serve them."""
