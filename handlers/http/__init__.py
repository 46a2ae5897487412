"""What every request passes: connections, middleware, bodies, queries, errors."""
