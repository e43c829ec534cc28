"""The door: HTTP in and HTTP out. Knows no resource."""
