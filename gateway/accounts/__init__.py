"""Accounts: connecting a portal, its credential, its limiter and a client for it.

- `service`: what callers do with an account: connect, authorize, delete. Before the credential changes, it suspends its
  followers: syncs and streams of the account end.
- `addresses`, `authorization`, `states`: the address that a caller sends; the portal's authorize page and the way back;
  the signed `state` in between
- `account_state`, `recovery`: when an account becomes stale, and how a stale webhook works again
- `directory`: the accounts themselves, cached in memory
- `credentials`, `clients`: the sealed tokens or webhook of an account, and a client that calls with them
- `limiters`: one limiter per portal; its request counter is stored for the next start (`storage.buckets`)
"""
