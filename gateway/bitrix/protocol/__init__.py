"""The wire formats of REST 2 and REST 3.0, without I/O."""
