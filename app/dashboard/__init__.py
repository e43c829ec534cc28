"""A PAGE TO LOOK AT ORDERS: the first client of the API, which it knows by HTTP alone."""
