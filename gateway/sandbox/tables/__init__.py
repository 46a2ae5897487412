"""The tables of the sandbox portal."""
