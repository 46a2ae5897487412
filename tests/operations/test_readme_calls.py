"""The calls of the README's table of methods, sent to a portal as they stand there."""

import re

import orjson
import pytest

from gateway.sandbox.settings import SandboxSettings
from tests.gateway import Gateway
from tests.support.calling import call
from tests.support.readme import section

ROWS = re.findall(
    r"^\| `(crm\.\w+\.\w+)` \| `(\{.*?\})` \| (.*?) \| (.*?) ?\|$",
    section("How the gateway calls Bitrix24"),
    re.MULTILINE,
)
KINDS: dict[str, type | tuple[type, ...]] = {
    "the id": int,
    "`true`": bool,
    "up to": list,
    "the": dict,
    "each": dict,
    "as of": (dict, list),
}
NOBODY = 987654321


def test_all_methods_of_contacts_and_companies_are_shown() -> None:
    methods = {method for method, *_ in ROWS}
    actions = ("get", "update", "list", "fields", "add", "delete")
    assert methods >= {f"crm.{entity}.{action}" for entity in ("contact", "company") for action in actions}
    assert methods >= {f"crm.deal.{action}" for action in ("get", "update", "fields")}


@pytest.fixture
def sandbox_settings() -> SandboxSettings:
    return SandboxSettings(users=20, deals=20, contacts=20, companies=20, holes=0)


@pytest.mark.parametrize(("method", "body", "result", "errors"), ROWS, ids=[row[0] for row in ROWS])
async def test_a_call_of_the_table_returns_and_fails_as_shown(
    connected: Gateway, method: str, body: str, result: str, errors: str
) -> None:
    params = orjson.loads(body)
    answer = await call(connected, method, params)
    assert answer.status == 200, answer.body
    kind = next(kind for start, kind in KINDS.items() if result.startswith(start))
    assert isinstance(answer.json["result"], kind)
    if errors.startswith("404"):
        (key,) = (name for name in params if name.lower() == "id")
        assert (await call(connected, method, {**params, key: NOBODY})).status == 404
    if "`filter` is no object" in errors:
        assert (await call(connected, method, {"filter": "x"})).status == 400
    if "required field" in errors:
        assert (await call(connected, method, {"fields": {}})).status == 400
