"""Encryption of stored secrets, and public keys."""
