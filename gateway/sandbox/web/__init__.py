"""The HTTP server of the sandbox portal."""
