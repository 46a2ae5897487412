"""Counts the lines that are executed, so that a test can tell a look-up from a scan without a clock."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class ExecutedLines:
    """The lines that were executed so far."""

    count = 0


@contextmanager
def count_lines() -> Iterator[ExecutedLines]:
    """Count every line of Python that this thread executes in functions called within the block."""
    lines, before = ExecutedLines(), sys.gettrace()

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        lines.count += event == "line"
        return trace

    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(before)
