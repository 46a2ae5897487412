"""The table of methods is what the code calls; callers see it with counters."""

import asyncio

import pytest

from gateway.bitrix.monitoring.methods import METHOD_USES, MethodUse
from gateway.clock import format_time
from tests.gateway import NO_TOKEN, Gateway, Sandbox
from tests.support.calling import batch, call, call3
from tests.support.methods import (
    ADVICE,
    LISTED,
    LISTS,
    NO_METHODS,
    constructed,
    methods_of_bindings,
    methods_of_fields,
    methods_of_records,
    modules,
    named,
)
from tests.support.readme import section
from tests.support.records import enable
from tests.support.source import texts

TREES = dict(modules())
# The f-strings in the code that look like methods, and the methods that they stand for.
CONSTRUCTED = {
    ("gateway.bitrix.lists.field_rules", "crm.{}.fields"): methods_of_fields(),
    ("gateway.bitrix.lists.field_rules", "crm.{}.list"): set(),  # keys of rules, also for lists that are not read
    ("gateway.crm.address_calls", "crm.address.{}"): {
        f"crm.address.{action}" for action in ("add", "update", "delete")
    },
    ("gateway.crm.bindings", "{}.{}"): methods_of_bindings(TREES),
    ("gateway.crm.related_deals", "{}.list"): {"crm.item.list"},
    ("gateway.mirror.resources", "crm.{}"): set(),  # the beginning of methods
    ("gateway.mirror.resources", "crm.{}.list"): LISTS,
    ("gateway.mirror.resources", "{}.{}"): methods_of_records(TREES),
}


def in_code() -> set[str]:
    """Every method that the code can call."""
    in_full = {name for tree in TREES.values() for name in named(tree)} - NO_METHODS
    return in_full.union(*CONSTRUCTED.values())


def test_every_method_that_the_code_calls_is_in_the_table() -> None:
    missing = sorted(method for method in in_code() if method.lower() not in LISTED)
    assert missing == [], f"{ADVICE}; a text that is no method belongs into NO_METHODS in tests/support/methods.py"


def test_every_method_in_the_table_is_called() -> None:
    unused = LISTED - {method.lower() for method in in_code()}
    assert unused == set(), "the code does not call these methods: remove them from METHOD_USES and from the README"


def test_every_constructed_name_is_known() -> None:
    found = {(module, template) for module, tree in TREES.items() for template in constructed(tree)}
    assert found == CONSTRUCTED.keys(), (
        "an f-string looks like a method: list here which methods it stands for (none: an empty set), and " + ADVICE
    )


def test_a_method_is_listed_once() -> None:
    methods = [method.lower() for use in METHOD_USES for method in use.methods]
    assert len(methods) == len(set(methods))


@pytest.mark.parametrize("use", METHOD_USES, ids=lambda use: use.methods[0])
def test_the_module_of_each_method_names_it(use: MethodUse) -> None:
    words = {text for _, text in texts(TREES[use.module])}
    templates = [template for module, template in CONSTRUCTED if module == use.module]
    for method in use.methods:
        is_named = any(method == word or method.endswith(f".{word}") for word in words)
        assert is_named or any(matches(method, template) for template in templates), (method, use.module)


def matches(method: str, template: str) -> bool:
    start, _, end = template.partition("{}")
    return "{}" not in end and method.startswith(start) and method.endswith(end) and len(method) > len(start + end)


def test_the_table_in_the_readme_is_that_of_the_code() -> None:
    text = section("How the gateway calls Bitrix24")
    for use in METHOD_USES:
        methods = ", ".join(f"`{method}`" for method in use.methods)
        scope = "" if use.scope is None else use.scope
        row = f"| {methods} | {use.purpose} | {scope} | `{use.module}` |"
        assert row in text, f"the README must have the row {row}"
    assert text.count(" | `gateway.") + text.count(" | `handlers.") == len(METHOD_USES), "a row is no longer true"


async def counts(gateway: Gateway, account: str = "acme") -> dict[str, tuple[int, int]]:
    answer = await gateway.get("/bitrix/methods", account=account)
    assert answer.status == 200
    shown = {item["method"]: (item["calls"], item["errors"]) for item in answer.json["items"]}
    passed = answer.json["passedThrough"]
    return shown | {"passed through": (passed["calls"], passed["errors"])}


async def test_every_method_is_shown_with_its_use_and_no_calls_yet(gateway: Gateway) -> None:
    answer = (await gateway.get("/bitrix/methods")).json
    assert answer["since"] == format_time(int(gateway.clock.now()))
    assert answer["items"] == [
        {
            "method": method,
            "purpose": use.purpose,
            "scope": use.scope,
            "module": use.module,
            "calls": 0,
            "errors": 0,
        }
        for use in METHOD_USES
        for method in use.methods
    ]
    assert answer["passedThrough"] == {"calls": 0, "errors": 0}


async def test_calls_of_the_gateway_and_of_callers_are_counted_by_method(connected: Gateway, sandbox: Sandbox) -> None:
    before = await counts(connected)
    assert before["scope"] == (1, 0)
    assert before["user.get"][0] > 0
    assert before["passed through"] == (0, 0)
    await call(connected, "CRM.deal.GET", {"id": 1})
    await call(connected, "crm.deal.get", {"id": 987654321})
    sandbox.portal.fault("crm.deal.fields:502*2")
    await call(connected, "crm.deal.fields")
    await batch(connected, [{"method": "crm.deal.get", "params": {"id": 1}}, {"method": "no.such.method"}])
    await call3(connected, "batch", [{"method": "tasks.task.list", "query": {"select": ["id"]}}] * 3)
    after = await counts(connected)
    changed = {name: tuple(map(int.__sub__, after[name], before[name])) for name in after}
    assert {name: change for name, change in changed.items() if change != (0, 0)} == {
        "batch": (2, 0),
        "crm.deal.get": (3, 1),
        "crm.deal.fields": (3, 2),
        "tasks.task.list": (3, 0),
        "passed through": (1, 1),
    }


async def test_a_batch_that_fails_as_a_whole_counts_as_batch_only(connected: Gateway, sandbox: Sandbox) -> None:
    before = await counts(connected)
    sandbox.portal.fault("batch:error=NO_AUTH_FOUND")
    await batch(connected, [{"method": "crm.deal.get", "params": {"id": 1}}])
    after = await counts(connected)
    assert after["batch"] == (before["batch"][0] + 1, before["batch"][1] + 1)
    assert after["crm.deal.get"] == before["crm.deal.get"]


async def test_names_that_callers_make_up_share_one_count_and_are_shown_to_nobody(connected: Gateway) -> None:
    names = [f"made.up{number}" for number in range(60)]
    before = (await connected.get("/bitrix/methods")).json
    await batch(connected, [{"method": name} for name in names])
    answer = await connected.get("/bitrix/methods", account="another")
    assert len(answer.json["items"]) == len(before["items"])
    assert answer.json["passedThrough"] == {"calls": 60, "errors": 60}
    assert b"made.up" not in answer.body


async def test_everybody_with_a_token_sees_the_methods_and_nothing_of_an_account(
    connected: Gateway, sandbox: Sandbox
) -> None:
    answer = await connected.get("/bitrix/methods", account="not-connected")
    assert answer.status == 200
    for own in ("acme", sandbox.host):
        assert own.encode() not in answer.body
    assert (await connected.get("/bitrix/methods", token=NO_TOKEN)).status == 401


async def test_unknown_parameters_are_refused(gateway: Gateway) -> None:
    answer = await gateway.get("/bitrix/methods?page=1")
    assert answer.status == 400
    (error,) = answer.json["errors"]
    assert (error["parameter"], error["code"]) == ("page", "unknown_parameter")


async def test_reads_writes_and_streams_call_no_method_outside_the_table(connected: Gateway) -> None:
    for name, title in {"leads": "TITLE", "contacts": "NAME", "items/128": "title"}.items():
        await enable(connected, name)
        created = await connected.clock.until(connected.post(f"/bitrix/{name}", json={title: "x"}))
        assert created.status == 201, created.body
        row_id = created.json["id"]
        for method, path, body, status in (
            ("PATCH", "", {title: "y"}, 200),
            ("PUT", "/stage", {"stage": "no such stage"}, 400),
            ("GET", "?source=portal", None, 200),
            ("DELETE", "", None, 204),
        ):
            work = connected.request(method, f"/bitrix/{name}/{row_id}{path}", json=body)
            assert (await connected.clock.until(work)).status == status
    for path in ("/bitrix/types", "/bitrix/types/128", "/bitrix/contact-types", "/bitrix/v3/openapi"):
        assert (await connected.clock.until(connected.get(path))).status == 200
    lists = ("users", "deals", "quotes", "companies", "tasks", "eventlog")
    await asyncio.gather(*(connected.stream(name, filter=[] if name == "eventlog" else {}) for name in lists))
    assert (await counts(connected))["passed through"] == (0, 0)
