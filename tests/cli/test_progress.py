"""Progress display: bars on a terminal, lines elsewhere."""

import sys

import pytest

from gateway.cli.progress import Progress, show_bytes, show_progress
from gateway.cli.sync import SyncStatus, show_status
from gateway.sandbox.behaviour.row_faults import ESCAPES


def status(
    rows: int, state: str = "running", *, left_out: int = 0, error: str | None = None, skipped: tuple[str, ...] = ()
) -> SyncStatus:
    return SyncStatus("users", state, rows, None, left_out, error, skipped)


def deals(rows: int, total: int | None = None) -> Progress:
    return Progress("deals", rows, total, f"deals: {rows:,} rows")


def test_a_status_line_shows_rows_error_and_skipped_lists() -> None:
    assert str(status(1250)) == "users: running, 1,250 rows"
    assert str(status(7, "failed", error="the portal is away")) == "users: failed, 7 rows: the portal is away"
    assert str(status(7, "done", skipped=("a", "b"))) == "users: done, 7 rows (not available on the portal: a; b)"
    assert str(status(7, "done", left_out=2)) == "users: done, 7 rows (2 of unsupported types)"


def test_without_a_terminal_a_sync_prints_occasional_lines_and_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress({"users": None}, sys.stdout, steps_per_line=25) as display:
        for rows in range(50):
            show_status(display, status(rows))
        show_status(display, status(99, "done"))
    assert capsys.readouterr().out.splitlines() == [
        "users: running, 24 rows",
        "users: running, 49 rows",
        "users: done, 99 rows",
    ]


def test_without_a_terminal_a_line_follows_each_full_number_of_steps(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress({"deals": None}, sys.stderr, steps_per_line=10_000) as display:
        for rows in range(5_000, 30_000, 5_000):
            display.update(deals(rows), 5_000)
    assert capsys.readouterr() == ("", "deals: 10,000 rows\ndeals: 20,000 rows\n")


def test_without_a_terminal_bytes_are_a_line_for_each_hundred_mebibytes(capsys: pytest.CaptureFixture[str]) -> None:
    total = 300 * 1024 * 1024
    with show_bytes("a.bin", total) as show:
        for done in range(0, total, 40 * 1024 * 1024):
            show(done)
    assert capsys.readouterr() == ("", "".join(f"a.bin: {n:,} of {total:,} bytes\n" for n in (125829120, 209715200)))


def test_a_terminal_shows_bars_and_lines_only_for_problems(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    with show_progress({"users": None}, sys.stdout, steps_per_line=1) as display:
        show_status(display, status(10))
        show_status(display, status(20, "failed", error="the portal is away"))
    output = capsys.readouterr().out
    assert "users: failed, 20 rows: the portal is away" in output
    assert "users        " in output
    with show_progress({"users": None}, sys.stdout, steps_per_line=1) as display:
        show_status(display, status(20, "done"))
    assert "users: done" not in capsys.readouterr().out


@pytest.mark.parametrize(("total", "shown"), [(2000, "1,234 of 2,000 rows"), (None, "1,234 rows")])
def test_a_terminal_on_stderr_shows_rows_and_total(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], total: int | None, shown: str
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    with show_progress({"deals": total}, sys.stderr, steps_per_line=1) as display:
        display.update(deals(1234, total), 1234)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "deals" in captured.err
    assert shown in captured.err


@pytest.mark.parametrize("on_terminal", [True, False])
def test_text_from_a_portal_is_printed_without_markup_or_control_sequences(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], on_terminal: bool
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: on_terminal)
    monkeypatch.setenv("COLUMNS", "400")
    with show_progress({"users": None}, sys.stdout, steps_per_line=1) as display:
        show_status(display, status(20, "failed", error=f"[/red] [bold]{ESCAPES}", skipped=(f"[link]{ESCAPES}",)))
    output = capsys.readouterr().out
    assert "[/red] [bold]\\x1b]0;owned\\x07" in output
    assert "[link]\\x1b]0;owned" in output
    assert "\x07" not in output
    assert not [line for line in output.splitlines() if line.startswith("2026-01-01")]
