"""Errors below /api/v4: problems of amoCRM's form, at unknown addresses and methods too."""

from contextlib import closing
from io import BytesIO

import pysqlite3
import pytest

from handlers.routes import QUERY_PARAMETERS
from tests.gateway import NO_TOKEN, Gateway
from tests.support.stored import database
from tests.support.widgets import WIDGETS, Person, broken_rules

MEMBERS = {"type", "title", "status", "detail", "code", "requestId"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v4/unknown", 404),
        ("GET", f"{WIDGETS}/a/b/c", 404),
        ("GET", f"{WIDGETS}/", 404),
        ("POST", f"{WIDGETS}/a/unknown", 404),
        ("PATCH", WIDGETS, 405),
        ("PUT", f"{WIDGETS}/a", 405),
        ("GET", f"{WIDGETS}/a/manifest", 405),
        ("GET", f"{WIDGETS}/a/source", 405),
    ],
)
async def test_unknown_addresses_and_methods_are_problems(
    gateway: Gateway, user: Person, method: str, path: str, status: int
) -> None:
    for answer in (await user.request(method, path), await gateway.request(method, path, token=NO_TOKEN)):
        assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
        assert answer.json.keys() == MEMBERS
        assert (answer.json["type"], answer.json["status"]) == (f"https://httpstatus.es/{status}", status)


async def test_an_address_beside_the_api_keeps_the_form_of_all_others(gateway: Gateway) -> None:
    for path in ("/api", "/api/v4", "/api/v40/widgets", "/api/v5/widgets"):
        answer = await gateway.get(path, token=NO_TOKEN)
        assert (answer.status, answer.json["type"]) == (404, "about:blank")


async def test_errors_of_the_promised_contract_stay_json_strings(gateway: Gateway) -> None:
    answer = await gateway.get("/bitrix/users", token=NO_TOKEN)
    assert (answer.headers["Content-Type"], answer.json) == ("application/json", "account id is required")


async def test_a_body_that_is_too_large_is_a_problem(user: Person) -> None:
    answer = await user.post(WIDGETS, data=BytesIO(b" " * 2_000_000), headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json["type"]) == (413, "https://httpstatus.es/413")


async def test_a_failing_statement_is_an_internal_error(gateway: Gateway, user: Person) -> None:
    await user.add("a")
    with closing(pysqlite3.connect(database(gateway))) as connection:
        connection.execute("ALTER TABLE widgets RENAME TO gone")
    await gateway.restart()
    answer = await user.get(WIDGETS)
    assert (answer.status, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert answer.json["detail"] == "Internal Server Error"


@pytest.mark.parametrize(
    ("method", "template"), sorted(each for each in QUERY_PARAMETERS if each[1].startswith(WIDGETS))
)
async def test_an_undocumented_parameter_is_refused(user: Person, method: str, template: str) -> None:
    admin = user.but(admin=True)
    await admin.add("asterisk")
    for query, name in (("filter[ID]=5", "filter[ID]"), ("=1", "a parameter without a name"), ("Limit=1", "Limit")):
        answer = await admin.request(method, f"{template.format(code='asterisk')}?{query}", json={})
        assert broken_rules(answer) == [(name, "UnknownParameter")]
    assert (await admin.widget("asterisk"))["is_active_in_account"] is False
