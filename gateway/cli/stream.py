"""Streams of the running gateway, row by row to whoever reads on."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, BinaryIO

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gateway.cli.gateway_client import GatewayClient, RequestFailed, connected, origin_of
from gateway.redaction import printable
from gateway.settings.config import Config

ROWS_A_PLAIN_LINE = 10_000


class StreamBroken(RequestFailed):
    """a stream ended before its end"""

    code = "stream_broken"

    def __init__(self, resource: str, reason: str, cursor: object) -> None:
        super().__init__(f"{resource}: {reason.removesuffix('.')}. Go on with --cursor {cursor}")


async def stream_rows(config: Config, token: str, resource: str, query: Mapping[str, str], out: BinaryIO) -> None:
    """Write the rows of *resource* to *out* as they come, a line each, and tell on stderr how it goes.

    Raises:
        RequestFailed: the gateway cannot be reached, or refuses.
        StreamBroken: not all rows came; it says from where to go on.
    """
    async with connected(origin_of(config), token) as client:
        with progress_of(resource, query.get("limit")) as show:
            end = await copy_rows(client, resource, query, out, show)
    if "error" in end:
        raise StreamBroken(resource, end["error"], end["cursor"])
    told = "all there are" if end["complete"] else f"as --limit has it; go on with --cursor {end['cursor']}"
    rows = f"{end['count']:,} {'row' if end['count'] == 1 else 'rows'}"
    click.echo(printable(f"{resource}: {rows}, {told}"), err=True)


async def copy_rows(
    client: GatewayClient, resource: str, query: Mapping[str, str], out: BinaryIO, show: Callable[[int], None]
) -> dict[str, Any]:
    """What the last line of the stream says, once all before it is written to *out*; *show* is told of each more rows.

    Raises:
        RequestFailed: the gateway cannot be reached, or refuses.
        StreamBroken: the connection was lost on the way.
    """
    kept = b""  # the last whole line, which may be that of the end, and what has come of the next one
    cursor: object = query.get("cursor", "0")

    def write(rows: bytes) -> None:
        nonlocal cursor
        out.write(rows)
        out.flush()
        last = orjson.loads(rows[rows.rfind(b"\n", 0, -1) + 1 :])
        cursor = last.get("ID", last.get("id"))
        show(rows.count(b"\n"))

    try:
        async with aclosing(client.stream(f"/bitrix/stream/{resource}", query)) as pieces:
            async for piece in pieces:
                kept += piece
                before = kept.rfind(b"\n", 0, max(kept.rfind(b"\n"), 0)) + 1
                if before > 0:
                    write(kept[:before])
                    kept = kept[before:]
        lost = RequestFailed("the stream has no end")
    except RequestFailed as error:
        if not kept:
            raise
        lost = error
    line, ended, _ = kept.partition(b"\n")
    end: dict[str, Any] = orjson.loads(line) if ended else {}
    if "cursor" in end and ("error" in end or "complete" in end):
        return end
    if ended:
        write(line + b"\n")
    raise StreamBroken(resource, lost.detail, cursor) from lost


@contextmanager
def progress_of(resource: str, limit: str | None) -> Iterator[Callable[[int], None]]:
    """What shows that so many more rows have come: a bar on a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield PlainProgress(resource).show
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(resource, total=None if limit is None else int(limit))
        yield lambda rows: progress.advance(bar, rows)


class PlainProgress:
    """A line for every so many rows."""

    def __init__(self, resource: str) -> None:
        self._resource = resource
        self._rows = 0

    def show(self, rows: int) -> None:
        lines, self._rows = self._rows // ROWS_A_PLAIN_LINE, self._rows + rows
        if self._rows // ROWS_A_PLAIN_LINE > lines:
            click.echo(f"{self._resource}: {self._rows:,} rows so far", err=True)
