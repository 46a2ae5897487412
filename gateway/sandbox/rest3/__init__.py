"""REST 3.0 of the sandbox portal: other addresses, envelopes and rules than the older version, over the same data."""
