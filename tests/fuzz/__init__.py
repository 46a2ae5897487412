"""The promised contract against generated requests: `python -m tests.fuzz`."""
