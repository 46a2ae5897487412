"""What `upload` and `download` print of each file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.cli.gateway_client import RequestFailed
from gateway.errors import GatewayError
from gateway.redaction import printable

Line = Mapping[str, Any]
"""The facts of a file. It has an `error` if the file failed."""


class FileLines:
    """Prints a line for each file, and counts them.

    With *as_json*, all lines are JSON on stdout. Without, those of files that succeeded are there, with the id and the
    fact called *result*. Those of files that failed are on stderr in any case, with the fact called *subject*.
    """

    def __init__(self, *, subject: str, result: str, as_json: bool) -> None:
        self._subject = subject
        self._result = result
        self._as_json = as_json
        self.shown = 0
        self.failed = 0

    def show(self, line: Line) -> None:
        """Print *line*."""
        self.shown += 1
        if self._as_json:
            click.echo(orjson.dumps(line))
        if error := line.get("error"):
            self.failed += 1
            click.echo(printable(f"{line[self._subject]}: {error['code']}: {error['description']}"), err=True)
        elif not self._as_json:
            click.echo(f"{line['id']}\t{printable(line[self._result])}")

    def check(self) -> None:
        """End the command with status 1 if a file has failed.

        Raises:
            click.ClickException: it says how many have.
        """
        if self.failed:
            raise click.ClickException(f"{self.failed:,} of {self.shown:,} files failed")


def error_of(failure: GatewayError) -> dict[str, object]:
    """Return *failure* in the form that errors have in the gateway's answers."""
    status = failure.status if isinstance(failure, RequestFailed) else None
    return {"code": failure.code, "description": failure.detail, "status": status}


def path_text(path: Path) -> str:
    """Return *path* as text that can be encoded: bytes that are not UTF-8 are escaped."""
    return str(path).encode(errors="backslashreplace").decode()
