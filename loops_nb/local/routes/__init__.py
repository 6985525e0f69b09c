"""The HTTP routes, one room a resource."""
