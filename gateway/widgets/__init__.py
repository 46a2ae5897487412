"""A catalogue of widgets, and their installations in accounts."""
