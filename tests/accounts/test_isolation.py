"""Two accounts on one gateway: no request of one shows or changes anything of the other."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from gateway.passthrough.streamed_lists import STREAMED_LISTS
from tests.gateway import CONTRACT, NO_TOKEN, RESOURCES, Answer, Gateway, Sandbox, authorize, callback_path
from tests.support.portal_rows import MIRRORED
from tests.support.records import change, enable, portal_ids, resource_of
from tests.support.stored import select

ACCOUNT = "/bitrix/account"
MARK = "acme-canary"
QUIZZES = (7, -7, 2**31 - 1)
PERFORMER = 900_001  # a user that only the portal of "acme" has
RULES: dict[str, Any] = {
    "PerformerID": str(PERFORMER),
    "PipelineID": 0,
    "TypeID": MARK,
    "StageID": "C1:NEW",
    "SourceID": "",
    "FieldsRule": {"lead": {"QuestionID": {MARK: MARK}}},
    "TagsToAdd": {"lead": [MARK]},
    "LeadFlag": False,
    "StatusID": "",
}
READS = [ACCOUNT, "/bitrix/sync"]
READS += [f"/bitrix/{name}?size=1000" for name in RESOURCES]
READS += [f"/bitrix/sync/{name}" for name in RESOURCES]
READS += ["/bitrix/sync/deals", "/bitrix/deals?size=1000"]
READS += [f"/bitrix/rules/{quiz}" for quiz in QUIZZES]


@pytest.fixture
async def acme(gateway: Gateway, sandbox: Sandbox, other: Sandbox) -> Gateway:
    """Account "acme" with marked rows, rules and tokens. No account is connected to the portal `other` yet."""
    data = sandbox.portal.data
    for resource in MIRRORED:
        resource.fill(data, 3, first=PERFORMER)
        for row_id in resource.table(data):
            resource.relabel(data, row_id, f"{MARK} {row_id}")
        resource.fill(other.portal.data, 2)
    deal_id = portal_ids(sandbox, "deals")[0]
    change(sandbox, "deals", {deal_id: {"TITLE": MARK}})
    assert (await authorize(gateway, sandbox)).status == 302
    await gateway.synced()
    await enable(gateway, "deals")
    for quiz in QUIZZES:
        assert (await gateway.post(f"/bitrix/rules/{quiz}", json=RULES)).status == 200
    return gateway


async def be(situation: str, gateway: Gateway, sandbox: Sandbox, other: Sandbox) -> None:
    """Bring account "beta" into *situation*."""
    if situation in ("connected", "deleted"):
        await gateway.connect(other.webhook, account="beta")
    if situation == "deleted":
        assert (await gateway.delete(ACCOUNT, account="beta")).status == 200
    if situation in ("pending", "pending at the same portal"):
        await gateway.connect((other if situation == "pending" else sandbox).origin, account="beta")


async def snapshot(gateway: Gateway) -> tuple[dict[str, bytes], list[Any]]:
    """Return everything that "acme" can read, and everything stored about it."""
    shown = {path: (await gateway.get(path)).body for path in READS}
    queries = (
        "SELECT * FROM accounts WHERE account_key = 'acme'",
        "SELECT rules.* FROM rules JOIN accounts USING (account_id) WHERE account_key = 'acme'",
    )
    return shown, [select(gateway, query) for query in queries]


def addresses(template: str) -> Iterator[str]:
    """Yield the addresses of a *template* of the API, with values that "acme" has."""
    if "{quizID}" in template:
        yield from (template.replace("{quizID}", str(quiz)) for quiz in QUIZZES)
    elif template.startswith("/bitrix/{resource}"):
        path = template.replace("{resource}", resource_of(template)).replace("{name}", "TITLE")
        yield path.replace("{id}", "1").replace("{otherId}", "2")
    elif template.startswith(("/bitrix/items/", "/bitrix/sync/items/")):
        yield template.replace("{entityTypeId}", "128").replace("{name}", "title").replace("{id}", "1")
    elif "/stream/" in template:
        if "{resource}" in template:
            yield from (template.replace("{resource}", name) for name in STREAMED_LISTS)
        elif "{entityTypeId}" in template:
            yield from (template.replace("{entityTypeId}", str(number)) for number in (2, 128))
    elif "{method}" in template:
        yield from (template.replace("{method}", name) for name in ("user.get", "tasks.task.get"))
    elif "{resource}" in template:
        yield from (template.replace("{resource}", name) for name in RESOURCES)
    else:
        yield template


def bodies(method: str, template: str, other: Sandbox) -> list[Any]:
    """Return bodies for an operation: as "acme" would send them, and naming "acme"; [None] if it has no body."""
    if method == "PUT":
        return [{"enabled": True}, {"intervalSeconds": 60}]
    if method not in ("POST", "PATCH"):
        return [None]
    if template == ACCOUNT:
        return [{"client_bitrix_url": other.origin, "accountID": "acme", "id": 1}]
    if "{method}" in template:
        return [{}, {"accountID": "acme", "id": PERFORMER, "FILTER": {"ID": PERFORMER}}]
    if template == "/bitrix/batch":
        return [{"commands": [{"method": "user.get"}], "accountID": "acme"}]
    if template == "/bitrix/v3/batch":
        return [[{"method": "tasks.task.get", "query": {"id": PERFORMER, "select": ["id"]}}]]
    if "{quizID}" in template:
        return [RULES, RULES | {"PerformerID": "1", "accountID": "acme", "ID": 1, "QuizID": 7}]
    return [None]


def operations() -> list[tuple[str, str]]:
    """Return every documented operation that requires a token, those that change the most last."""
    order = {"GET": 0, "PATCH": 1, "PUT": 2, "POST": 3, "DELETE": 4}
    found = [(method, template) for method, template in CONTRACT.operations if template.startswith("/bitrix")]
    return sorted(found, key=lambda operation: (order[operation[0]], operation[1]))


SITUATIONS = ("never connected", "pending", "pending at the same portal", "connected", "deleted")


@pytest.mark.parametrize("situation", SITUATIONS)
async def test_no_operation_shows_or_changes_anything_of_another_account(
    acme: Gateway, sandbox: Sandbox, other: Sandbox, situation: str
) -> None:
    await be(situation, acme, sandbox, other)
    before = await snapshot(acme)
    tags = {name: (await acme.get(f"/bitrix/{name}")).headers["ETag"] for name in RESOURCES}
    own_id = (await acme.get(ACCOUNT)).json["id"]
    requests = sandbox.portal.http_requests, len(sandbox.portal.token_requests)
    hidden = [MARK, sandbox.portal.member_id]
    if situation != "pending at the same portal":  # there "beta" knows the host
        hidden.append(sandbox.host)
    queries = ("", "page=1&size=1000", f"page={own_id}&size=1", "account=acme&accountID=acme&account_id=1&ID=1")
    headers: list[Mapping[str, str]] = [
        {},
        {"If-None-Match": ", ".join(tags.values())},
        {"X-Account": "acme", "X-Account-ID": "acme", "X-Forwarded-User": "acme", "Cookie": "account=acme"},
        {"Accept": "application/problem+json"},
    ]

    answered = 0
    for method, template in operations():
        for path in addresses(template):
            for body in bodies(method, template, other):
                for query, extra in [*product(queries, headers[:1]), *product(queries[:1], headers[1:])]:
                    options = {} if body is None else {"json": body}
                    request = acme.request(method, f"{path}?{query}", account="beta", headers=extra, **options)
                    answer = await acme.clock.until(request)  # the other portal limits calls too
                    shows_nothing(answer, hidden, f"{method} {path}?{query} {extra}")
                    answered += 1
    assert answered > 200
    assert await snapshot(acme) == before
    assert {name: (await acme.get(f"/bitrix/{name}")).headers["ETag"] for name in RESOURCES} == tags
    assert (sandbox.portal.http_requests, len(sandbox.portal.token_requests)) == requests
    await acme.restart(GATEWAY_OAUTH_SERVERS=f"{sandbox.host},{other.host}")
    assert await snapshot(acme) == before
    assert [run["error"] for run in await acme.sync(*RESOURCES)] == [None] * 4


def shows_nothing(answer: Answer, hidden: list[str], request: str) -> None:
    """Check that *answer* contains no word of *hidden* and does not confirm another account's ETag."""
    content = f"{dict(answer.headers)}\n".encode() + answer.body
    assert not [word for word in hidden if word.encode() in content], request
    assert answer.status != 304, request


async def test_accounts_on_one_portal_share_its_rows_but_not_rules_runs_and_ids(
    acme: Gateway, sandbox: Sandbox
) -> None:
    await acme.connect(sandbox.webhook, account="beta")
    before = await snapshot(acme)
    for resource in MIRRORED:
        mine, theirs = await acme.rows(resource.name), await acme.rows(resource.name, account="beta")
        assert resource.labels(mine) == resource.labels(theirs)
        assert {row[resource.own_id] for row in mine}.isdisjoint(row[resource.own_id] for row in theirs)
    for quiz in QUIZZES:
        assert (await acme.get(f"/bitrix/rules/{quiz}", account="beta")).status == 404
        assert (await acme.patch(f"/bitrix/rules/{quiz}", account="beta", json=RULES)).status == 404
        assert (await acme.post(f"/bitrix/rules/{quiz}", account="beta", json=RULES | {"TypeID": "B"})).status == 200
    sandbox.portal.fault("user.get:error=ACCESS_DENIED*")
    await acme.sync("users", account="beta")
    sandbox.portal.clear_faults()
    assert (await acme.delete(ACCOUNT, account="beta")).status == 200
    assert await snapshot(acme) == before


PARTS = ("state", "code", "domain", "member_id", "server_domain")


@pytest.mark.parametrize("account", ["acme", "beta"])
async def test_mixed_callback_parameters_only_affect_the_account_of_the_state(
    gateway: Gateway, sandbox: Sandbox, other: Sandbox, account: str
) -> None:
    """The state selects the account that may change. All other parameters come from either portal, in every mixture."""
    portals = {"acme": sandbox, "beta": other}
    bystander = "beta" if account == "acme" else "acme"

    async def callback_of(name: str) -> dict[str, str]:
        answer = await gateway.connect(portals[name].origin, account=name)
        return dict(parse_qsl(urlsplit(await callback_path(gateway, answer.json["authorizeURL"])).query))

    await callback_of(bystander)
    before = stored_of(gateway, bystander)
    for owners in product((account, bystander), repeat=len(PARTS) - 1):
        if set(owners) == {account}:
            continue
        callbacks = {name: await callback_of(name) for name in (account, bystander)}
        query = {name: callbacks[owner][name] for name, owner in zip(PARTS, (account, *owners), strict=True)}
        answer = await gateway.get(f"/webhook/create?{urlencode(query)}", token=NO_TOKEN)
        if owners != (bystander, account, bystander, bystander):  # the owner of the state may choose the other portal
            assert answer.status in (400, 500), owners
            assert (await gateway.get(ACCOUNT, account=account)).json["stale"] is True
        assert stored_of(gateway, bystander) == before
        assert (await gateway.delete(ACCOUNT, account=account)).status == 200
        await gateway.clock.advance(1)


def stored_of(gateway: Gateway, account: str) -> list[Any]:
    """Return the stored account with its credential."""
    return select(gateway, f"SELECT * FROM accounts WHERE account_key = '{account}'")
