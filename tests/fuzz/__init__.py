"""Generated requests, checked against openapi.yaml: `python -m tests.fuzz`."""
