"""Addresses for operators: health and readiness."""
