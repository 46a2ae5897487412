"""The addresses of widgets."""
