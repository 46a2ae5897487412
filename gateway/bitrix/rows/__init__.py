"""Decoders of the rows of a portal's lists."""
