"""Rows of a portal's lists, decoded."""
