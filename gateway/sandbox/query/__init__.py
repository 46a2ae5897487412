"""Filters, order and paging of the sandbox portal."""
