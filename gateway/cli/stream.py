"""The command `stream`: copies a stream of the running gateway, row by row."""

import sys
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, BinaryIO

import click
import orjson

from gateway.cli.gateway_client import GatewayClient, RequestFailed, local_origin, open_client
from gateway.cli.progress import Display, Progress, show_progress
from gateway.redaction import printable
from gateway.settings.config import Config

ROWS_PER_LINE = 10_000


class StreamBroken(RequestFailed):
    """the stream ended early"""

    code = "stream_broken"

    def __init__(self, resource: str, reason: str, cursor: object) -> None:
        super().__init__(f"{resource}: {reason.removesuffix('.')}. Continue with --cursor {cursor}")


async def stream_rows(config: Config, token: str, resource: str, query: Mapping[str, str], out: BinaryIO) -> None:
    """Write the rows of *resource* to *out*, one per line, as they arrive; show progress on stderr.

    Raises:
        RequestFailed: when the gateway cannot be reached or refuses the request.
        StreamBroken: when rows are missing; its text names the cursor to continue from.
    """
    async with open_client(local_origin(config), token) as client:
        with show_progress({resource: row_limit(query)}, sys.stderr, steps_per_line=ROWS_PER_LINE) as display:
            end = await copy_rows(client, resource, query, out, display)
    if "error" in end:
        raise StreamBroken(resource, end["error"], end["cursor"])
    outcome = "complete" if end["complete"] else f"limit reached; continue with --cursor {end['cursor']}"
    rows = f"{end['count']:,} {'row' if end['count'] == 1 else 'rows'}"
    click.echo(printable(f"{resource}: {rows}, {outcome}"), err=True)


async def copy_rows(
    client: GatewayClient, resource: str, query: Mapping[str, str], out: BinaryIO, display: Display
) -> dict[str, Any]:
    """Copy the stream of *resource* to *out*, except its last line, which is returned.

    Raises:
        RequestFailed: when the gateway cannot be reached or refuses the request.
        StreamBroken: when the connection was lost after some rows.
    """
    held = b""  # the last whole line, which may be the end of the stream, and the part of the next line
    cursor: object = query.get("cursor", "0")
    count = 0

    def write(rows: bytes) -> None:
        nonlocal cursor, count
        out.write(rows)
        out.flush()
        last = orjson.loads(rows[rows.rfind(b"\n", 0, -1) + 1 :])
        cursor = last.get("ID", last.get("id"))
        added = rows.count(b"\n")
        count += added
        display.update(Progress(resource, count, row_limit(query), f"{resource}: {count:,} rows"), added)

    try:
        async with aclosing(client.stream(f"/bitrix/stream/{resource}", query)) as chunks:
            async for chunk in chunks:
                held += chunk
                end_of_rows = held.rfind(b"\n", 0, max(held.rfind(b"\n"), 0)) + 1
                if end_of_rows > 0:
                    write(held[:end_of_rows])
                    held = held[end_of_rows:]
        failure = RequestFailed("the stream ended without its last line")
    except RequestFailed as error:
        if not held:
            raise
        failure = error
    line, newline, _ = held.partition(b"\n")
    end: dict[str, Any] = orjson.loads(line) if newline else {}
    if "cursor" in end and ("error" in end or "complete" in end):
        return end
    if newline:
        write(line + b"\n")
    raise StreamBroken(resource, failure.detail, cursor) from failure


def row_limit(query: Mapping[str, str]) -> int | None:
    return int(query["limit"]) if "limit" in query else None
