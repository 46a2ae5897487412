"""The HTTP layer: the application, its routes and their handlers."""
