"""Mirrored lists: what is mirrored, how it is synced and how it is served.

- `resources`: one declaration per mirrored list
- `sync`, `schedule`: runs of syncs, one per account and list; when they start by themselves
- `sync_pass`: one pass of a run: read, store, and decide which missing rows are deleted. `storage.mirror.compare_rows`
  finds the changes of a page
- `row_json`: the JSON of a row
- `pages`: response bodies and their entity tags, cached until their list changes
"""
