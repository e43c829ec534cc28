"""Log records: their format and the handler that writes them."""
