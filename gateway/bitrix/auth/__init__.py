"""Credentials and OAuth tokens of portals."""
