"""REST 3.0 of the sandbox portal: the addresses, envelopes and rules of its methods, over the data of REST 2."""
