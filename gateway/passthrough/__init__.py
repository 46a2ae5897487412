"""Calls, batches, REST 3.0 and streams, passed through to a portal."""
