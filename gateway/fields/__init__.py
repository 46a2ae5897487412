"""The fields of portals' lists: read from the portal, kept in the database, and used for every check of a name.

- `service`: fetches, stores and caches them, and checks filters and selects against them
"""
