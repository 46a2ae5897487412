"""Filters, order and pages of the REST 2 lists."""
