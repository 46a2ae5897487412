"""Generated clients against the demo: `python -m tests.clients`."""
