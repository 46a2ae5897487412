"""Progress of transfers of rows and files: bars on a terminal, occasional lines elsewhere."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TextIO

import click
from rich import progress as bars
from rich.console import Console
from rich.text import Text

BYTES_PER_LINE = 100 * 1024 * 1024


@dataclass(frozen=True)
class Progress:
    """The rows or bytes of a task that are done, of *total* if that is known, and a line that says so."""

    task: str
    done: int
    total: int | None
    line: str


class Display(Protocol):
    """Shows the progress of tasks."""

    def update(self, progress: Progress, steps: int, /) -> None:
        """Show *progress*, which is *steps* ahead of the last call."""

    def finish(self, progress: Progress, notable: bool, /) -> None:
        """Show the end of a task; on a terminal its line is printed only if it is *notable*."""


class RowsColumn(bars.ProgressColumn):
    """The rows that have arrived, and their total if it is known."""

    def render(self, task: bars.Task) -> Text:
        total = "" if task.total is None else f" of {task.total:,.0f}"
        return Text(f"{task.completed:,.0f}{total} rows")


@contextmanager
def show_progress(
    totals: Mapping[str, int | None],
    out: TextIO,
    *,
    steps_per_line: int,
    amount: Callable[[], bars.ProgressColumn] = RowsColumn,
) -> Iterator[Display]:
    """A display of the tasks in *totals*, given with their numbers of rows, or of what *amount* shows, where known.

    Where *out* is not a terminal, a task prints a line for every *steps_per_line* steps and one at its end.
    """
    if not out.isatty():
        yield LineDisplay(out, steps_per_line)
        return
    columns = (
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description:<12}", markup=False),
        bars.BarColumn(),
        amount(),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=Console(file=out)) as rich_progress:
        yield BarDisplay(rich_progress, totals)


class LineDisplay:
    """Prints lines."""

    def __init__(self, out: TextIO, steps_per_line: int) -> None:
        self._out = out
        self._steps_per_line = steps_per_line
        self._steps: Counter[str] = Counter()

    def update(self, progress: Progress, steps: int, /) -> None:
        before = self._steps[progress.task]
        self._steps[progress.task] += steps
        if self._steps[progress.task] // self._steps_per_line > before // self._steps_per_line:
            click.echo(progress.line, file=self._out)

    def finish(self, progress: Progress, _notable: bool, /) -> None:
        click.echo(progress.line, file=self._out)


class BarDisplay:
    """Draws a bar per task."""

    def __init__(self, rich_progress: bars.Progress, totals: Mapping[str, int | None]) -> None:
        self._rich = rich_progress
        self._bars = {task: rich_progress.add_task(task, total=total) for task, total in totals.items()}

    def update(self, progress: Progress, _steps: int, /) -> None:
        self._rich.update(self._bars[progress.task], completed=progress.done, total=progress.total)

    def finish(self, progress: Progress, notable: bool, /) -> None:
        self.update(progress, 0)
        self._rich.stop_task(self._bars[progress.task])
        if notable:
            self._rich.console.print(progress.line, markup=False, highlight=False)


@contextmanager
def show_bytes(task: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show on stderr how many bytes of a transfer are done; yield the function to be called with that number."""
    shown = 0
    with show_progress({task: total}, sys.stderr, steps_per_line=BYTES_PER_LINE, amount=bytes_column) as display:

        def show(done: int) -> None:
            nonlocal shown
            display.update(Progress(task, done, total, f"{task}: {done:,} of {total:,} bytes"), max(done - shown, 0))
            shown = done

        yield show


def bytes_column() -> bars.ProgressColumn:
    return bars.DownloadColumn(binary_units=True)
