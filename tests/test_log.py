"""Logging: secrets are masked and control characters escaped in every line."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog

from gateway.log import configure_logging
from gateway.redaction import Secret, redact
from gateway.sandbox.behaviour.row_faults import ESCAPES

CANARY = "c4nary-S3cret"
LEAKS = {
    "inbound webhook": f"https://example.bitrix24.ru/rest/1/{CANARY}/user.get.json",
    "webhook with doubled slashes": f"https://example.bitrix24.ru/rest//1//{CANARY}//user.get",
    "webhook of REST 3.0": f"https://example.bitrix24.ru/rest/api/1/{CANARY}/tasks.task.get",
    "webhook at the end": f"the webhook /rest/17/{CANARY}",
    "auth in a query": f"GET /rest/user.get?auth={CANARY}&start=0",
    "tokens in a query": f"?access_token={CANARY}&refresh_token={CANARY}&client_secret={CANARY}",
    "code and state": f"/webhook/create?code={CANARY}&state={CANARY}",
    "header": f"Authorization: Bearer {CANARY}",
    "header in small letters": f"authorization: bearer {CANARY}",
    "JSON": json.dumps({"access_token": CANARY, "auth": CANARY}),
    "address in JSON": f'{{"url":"https:\\/\\/x.bitrix24.ru\\/rest\\/1\\/{CANARY}\\/user.get"}}',
    "JSON in JSON": json.dumps(json.dumps({"refresh_token": CANARY})),
    "repr of a dict": repr({"access_token": CANARY, "client_secret": CANARY}),
}


@pytest.fixture(params=["console", "json"])
def lines(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("debug", request.param, stream)
    yield stream.getvalue
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS.keys())
def test_a_secret_is_masked_in_a_message_a_field_and_a_traceback(lines: Callable[[], str], leak: str) -> None:
    ours, theirs = structlog.get_logger("gateway.test"), logging.getLogger("aiohttp.server")
    ours.info(leak, field=leak, deep={"list": [leak, {leak: leak}]}, cause=ValueError(leak))
    theirs.error("Error handling %s", leak, extra={"field": leak})
    try:
        raise RuntimeError(leak)
    except RuntimeError:
        ours.exception("failed")
        theirs.exception("failed")
    assert CANARY not in lines()
    assert lines().count("RuntimeError: ") == 2


@pytest.mark.parametrize("name", ["access_token", "refresh_token", "auth", "Authorization", "client_secret", "token"])
def test_a_field_named_like_a_secret_is_masked_at_any_depth(lines: Callable[[], str], name: str) -> None:
    structlog.get_logger().info("event", **{name: CANARY}, deep={name: CANARY}, deeper=[{"a": {name: [CANARY]}}])
    assert CANARY not in lines()


def test_a_secret_masks_itself(lines: Callable[[], str]) -> None:
    structlog.get_logger().info("event", key=Secret(CANARY), several=[Secret(CANARY)])
    assert CANARY not in lines()
    assert f"<secret of {len(CANARY)} characters>" in lines()


def test_other_fields_are_unchanged(lines: Callable[[], str]) -> None:
    structlog.get_logger("gateway.sync").warning(
        "portal refused", method="crm.status.list", code="QUERY_LIMIT_EXCEEDED", state="running", rows=25, share=0.5
    )
    for part in ("portal refused", "crm.status.list", "QUERY_LIMIT_EXCEEDED", "running", "25", "0.5", "gateway.sync"):
        assert part in lines()


def test_a_json_line_is_one_object_with_level_logger_and_time() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    try:
        structlog.get_logger("gateway.x").info("привет", rows=2)
        logging.getLogger("asyncio").warning("slow")
        structlog.get_logger("gateway.x").debug("not at this level")
    finally:
        logging.getLogger().handlers.clear()
        structlog.reset_defaults()
    ours, theirs = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (ours["event"], ours["rows"], ours["level"], ours["logger"]) == ("привет", 2, "info", "gateway.x")
    assert (theirs["event"], theirs["level"]) == ("slow", "warning")
    assert ours["timestamp"].endswith("Z")


def test_a_redacted_url_stays_readable() -> None:
    assert redact("https://a.bitrix24.ru/rest/1/abc/user.get?auth=x&start=50") == (
        "https://a.bitrix24.ru/rest/1/***/user.get?auth=***&start=50"
    )


def test_control_sequences_are_escaped_and_log_lines_cannot_be_forged(lines: Callable[[], str]) -> None:
    forged = f"x{ESCAPES.replace('2026', '1999')}\n1999-01-01T00:00:00.000000Z [error    ] disk full\n{{}}"
    ours, theirs = structlog.get_logger("gateway.test"), logging.getLogger("asyncio")
    ours.info(forged, reason=forged, deep={"a": [forged, {forged: forged}]}, cause=ValueError(forged), **{forged: 1})
    theirs.warning("%s", forged, extra={"reason": forged})
    try:
        raise RuntimeError(forged)
    except RuntimeError:
        ours.exception(forged)
        theirs.exception(forged, stack_info=True)
    output = lines()
    assert all(character == "\n" or character.isprintable() for character in output)
    assert not [line for line in output.splitlines() if line.startswith(("1999-", "{}"))]
    assert output.count("RuntimeError: x") == 2


def test_a_traceback_keeps_its_line_breaks(lines: Callable[[], str]) -> None:
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logging.getLogger("x").exception("failed")
    shown = lines() if lines().startswith("20") else json.loads(lines())["exception"]
    assert "  Traceback (most recent call last):\n    File " in shown
    assert shown.rstrip().endswith("\n  RuntimeError: broken")
