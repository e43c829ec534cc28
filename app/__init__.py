"""orders-bff: a caching proxy for the order list of one GenAuth user pool.

The packages, in the order in which a request meets them:

    server/     uvicorn, connections and their limits, repeated requests, shutdown
    edge/       middleware, authentication, problems, OpenAPI; independent of orders
    identity/   who callers are according to an issuer: tokens, grants, the sign-in of people
    orders/     the routes, the order book, the snapshot of the list, rendering
    cache/      freshness, the cache that serves stale entries, and the stores that processes share
    upstream/   the client of the vendor's API: credentials, limiter, circuit breaker, retries

Besides: `cli` declares the commands of `commands/`, `main` connects the components that
`composition/` builds, `settings/` reads the environment, `operations/` has the routes for
operators, `logging/` writes the log, `telemetry/` counts requests and calls, `sandbox/` is a mock
upstream, and `dashboard/` is a client of the API. The other modules are shared by all packages.

Imports point downwards only; `pyproject.toml` has the contracts.
"""

__version__ = "0.1.0"
