"""Settings: definition, parsing and the secrets file."""
