"""The contestants of `tests.load.read`. Each reads one whole list in its own process."""
