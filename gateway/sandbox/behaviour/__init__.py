"""How the sandbox portal behaves: its limits, the cost of its lists and the faults injected into it."""
