"""A generated client, used on the demo: `python -m tests.clients`."""
