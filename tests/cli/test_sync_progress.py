"""How a sync shows: bars on a terminal, lines elsewhere."""

import sys

import pytest

from gateway.cli.sync import POLLS_A_PLAIN_LINE, SyncStatus, progress_of
from gateway.sandbox.behaviour.lies import ESCAPES


def status(
    rows: int, state: str = "running", *, left_out: int = 0, error: str | None = None, skipped: tuple[str, ...] = ()
) -> SyncStatus:
    return SyncStatus("users", state, rows, None, left_out, error, skipped)


def test_a_line_tells_rows_error_and_what_was_skipped() -> None:
    assert str(status(1250)) == "users: running, 1,250 rows"
    assert str(status(7, "failed", error="the portal is away")) == "users: failed, 7 rows: the portal is away"
    assert str(status(7, "done", skipped=("a", "b"))) == "users: done, 7 rows (not offered by the portal: a; b)"
    assert str(status(7, "done", left_out=2)) == "users: done, 7 rows, 2 of them of types that are not shown"


def test_elsewhere_a_line_comes_now_and_then_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_of(["users"]) as show:
        for rows in range(2 * POLLS_A_PLAIN_LINE):
            show(status(rows))
        show(status(99, "done"))
    assert capsys.readouterr().out.splitlines() == [
        f"users: running, {POLLS_A_PLAIN_LINE - 1} rows",
        f"users: running, {2 * POLLS_A_PLAIN_LINE - 1} rows",
        "users: done, 99 rows",
    ]


def test_on_a_terminal_there_are_bars_and_lines_only_for_what_went_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    with progress_of(["users"]) as show:
        show(status(10))
        show(status(20, "failed", error="the portal is away"))
    seen = capsys.readouterr().out
    assert "users: failed, 20 rows: the portal is away" in seen
    assert "users        " in seen
    with progress_of(["users"]) as show:
        show(status(20, "done"))
    assert "users: done" not in capsys.readouterr().out


@pytest.mark.parametrize("on_terminal", [True, False])
def test_what_a_portal_says_is_shown_as_text_and_obeyed_by_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], on_terminal: bool
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: on_terminal)
    monkeypatch.setenv("COLUMNS", "400")
    with progress_of(["users"]) as show:
        show(status(20, "failed", error=f"[/red] [bold]{ESCAPES}", skipped=(f"[link]{ESCAPES}",)))
    seen = capsys.readouterr().out
    assert "[/red] [bold]\\x1b]0;owned\\x07" in seen
    assert "[link]\\x1b]0;owned" in seen
    assert "\x07" not in seen
    assert not [line for line in seen.splitlines() if line.startswith("2026-01-01")]
