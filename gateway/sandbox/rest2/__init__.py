"""REST version 2 of the sandbox portal."""
