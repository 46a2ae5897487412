"""The contestants of `tests.load.read`: each reads one list whole, in a process of its own."""
