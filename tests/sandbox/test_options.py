"""user.admin, user.access, user.option.* and app.option.*."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient
from tests.sandbox.examples import EXAMPLES, compare

OPTIONS = {"data": "value", "data2": "value2"}


def documented(example: str) -> Any:
    return json.loads((EXAMPLES / f"{example}.json").read_text())


@pytest.fixture
def colleague(portal: SandboxPortal) -> int:
    return list(portal.data.users)[1]


@pytest.mark.parametrize("name", ["user.option", "app.option"])
async def test_options_are_merged(anonymous: RestClient, access_token: str, name: str) -> None:
    get, put = f"/rest/{name}.get", f"/rest/{name}.set"
    assert (await anonymous.call(get, auth=access_token)).result == []
    compare((await anonymous.call(put, auth=access_token, options={"data": "old"})).body, f"{name}.set")
    assert (await anonymous.call(put, auth=access_token, options=OPTIONS)).result is True
    everything = await anonymous.call(get, auth=access_token)
    compare(everything.body, f"{name}.get")
    assert everything.result == OPTIONS
    one = await anonymous.call(get, auth=access_token, option="data")
    compare(one.body, f"{name}.get.2")
    assert one.result == "value"
    assert (await anonymous.call(get, auth=access_token, option="other")).result is None


async def test_only_the_options_of_users_differ_by_user(
    anonymous: RestClient, tokens_of: Callable[[int], str], colleague: int
) -> None:
    own, other = tokens_of(1), tokens_of(colleague)
    for name, seen in (("user.option", []), ("app.option", OPTIONS)):
        await anonymous.call(f"/rest/{name}.set", auth=own, options=OPTIONS)
        assert (await anonymous.call(f"/rest/{name}.get", auth=other)).result == seen


@pytest.mark.parametrize("name", ["user.option", "app.option"])
async def test_a_wrong_use_of_options_is_refused(
    webhook: RestClient, anonymous: RestClient, access_token: str, name: str
) -> None:
    for method in ("get", "set"):
        answer = await webhook.call(f"{name}.{method}", options=OPTIONS)
        assert (answer.status, answer.body) == (400, documented(f"{name}.get.error"))
    wrong: list[dict[str, Any]] = [{}, {"options": []}, {"options": "data"}]
    for params in wrong:
        answer = await anonymous.call(f"/rest/{name}.set", auth=access_token, **params)
        assert (answer.status, answer.body) == (400, documented(f"{name}.set.error"))


async def test_only_the_webhooks_owner_is_an_administrator(
    webhook: RestClient, anonymous: RestClient, tokens_of: Callable[[int], str], colleague: int
) -> None:
    answer = await webhook.call("user.admin")
    compare(answer.body, "user.admin")
    assert answer.result is True
    assert (await anonymous.call("/rest/user.admin", auth=tokens_of(colleague))).result is False


async def test_access_is_having_one_of_the_codes(
    webhook: RestClient, anonymous: RestClient, tokens_of: Callable[[int], str], colleague: int
) -> None:
    answer = await webhook.call("user.access", ACCESS=["G12", "U777"])
    compare(answer.body, "user.access")
    assert answer.result is True
    token = tokens_of(colleague)
    for codes, has in ((["G1", "U1"], False), (["G1", f"U{colleague}"], True), ("AU", True)):
        assert (await anonymous.call("/rest/user.access", auth=token, ACCESS=codes)).result is has
    assert (await webhook.call("user.access")).error == "ERROR_ARGUMENT"
