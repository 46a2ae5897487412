"""Encryption of stored secrets, and public keys of token issuers."""
