"""`python -m app` is `orders-bff`."""

from app.cli import main

main()
