"""Addresses for operators: health checks and the OpenAPI document."""
