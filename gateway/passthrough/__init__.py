"""Calls, batches, REST 3.0 and streams, passed through to a portal.

- `calls`, `batch_split`: single calls and batches; how a long batch is split into requests
- `allowed_methods`, `call_checks`: what is refused before a request is sent
- `streams`, `streamed_lists`: lists row by row, and how a stream ends; which lists there are
"""
