"""Accounts: connecting a portal, its credential, its limiter and a client for it."""
