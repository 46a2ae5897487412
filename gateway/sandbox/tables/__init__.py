"""Tables of rows by id: stored in full, or generated when they are read."""
