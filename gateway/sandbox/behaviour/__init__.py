"""How the sandbox portal behaves: limits, costs and faults."""
