"""REST 2 of the sandbox portal: its methods and the order of checks."""
