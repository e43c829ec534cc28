"""orders-bff: a caching proxy for one GenAuth order list.

The rooms, in the order a request meets them:

    edge/       the door: connections, request ids, access log, CORS, callers, problems, docs
    orders/     the resource: routes, contract, the order book, reshape
    cache/      the memory: fresh, stale, kept, gone
    upstream/   the other side: client, credential, envelope, errors

and beside them:

    main        the one place that constructs
    cli         the commands
    doctor      asks the upstream in the operator's name
    settings    every knob; the only reader of the environment
    sandbox/    an upstream to try it with
    dashboard/  a page to look at orders, the first client of the API
    single_flight, request_id, clock   what the rooms share

Imports point downwards only; pyproject.toml's import contracts hold them to it.
"""

__version__ = "0.1.0"
