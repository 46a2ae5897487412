"""The mirror of a portal: what is mirrored, how it is synced, and how it is served.

- `resources`: one declaration per mirrored list: dictionaries and records of the CRM
- `sync`, `schedule`, `sync_control`: runs of syncs, one per account and list; when they start by themselves; what
  callers decide about them
- `sync_runner`: begins a run and executes it
- `sync_pass`, `incremental`, `reconcile`: what a run does: read all, read what has changed, find what was deleted
- `sync_writer`: stores what a run has read. `storage.mirror_changes` finds the changes of a page
- `row_json`: the JSON of a row
- `pages`: response bodies and their entity tags, cached until their list changes
- `queries`: pages and streams of records, with `filters`, `filter_values`, `query_fields` and `cursors`
- `record_reader`, `relations`: one record, with its related records
"""
