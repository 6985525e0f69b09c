"""HTTP server of the local service: application, middleware, connection limits, process."""
