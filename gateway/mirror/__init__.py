"""Mirrored resources: what they are, their sync and their pages."""
