"""What callers see: routes, middleware, schemas and the application itself."""
