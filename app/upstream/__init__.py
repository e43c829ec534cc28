"""The client of the upstream API: calls, credentials, limits, retries and errors."""
