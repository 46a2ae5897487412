"""Tables of rows by id: stored in full, or generated when they are read; found by their ids and times."""
