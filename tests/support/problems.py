"""Errors as problem+json."""

PROBLEM = {"Accept": "application/problem+json"}
