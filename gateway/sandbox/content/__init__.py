"""What the sandbox portal contains."""
