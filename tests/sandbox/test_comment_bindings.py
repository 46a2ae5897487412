"""The bindings of comments to the timelines of several records."""

from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient

PREFIX = "crm.timeline.bindings"
DEAL = {"ENTITY_ID": 2, "ENTITY_TYPE": "deal"}
COMPANY = {"ENTITY_ID": 1, "ENTITY_TYPE": "company"}


@pytest.fixture
async def comment(webhook: RestClient) -> int:
    """A comment of a deal."""
    return int((await webhook.call("crm.timeline.comment.add", fields={**DEAL, "COMMENT": "Text"})).result)


async def test_a_comment_is_bound_and_unbound(webhook: RestClient, comment: int) -> None:
    fields = {"OWNER_ID": comment, **COMPANY}
    for _ in range(2):
        assert (await webhook.call(f"{PREFIX}.bind", fields=fields)).result is True
    answer = await webhook.call(f"{PREFIX}.list", filter={"OWNER_ID": comment})
    rows = [{"OWNER_ID": comment, **DEAL}, {"OWNER_ID": comment, **COMPANY}]
    assert answer.result == [{name: str(value) for name, value in row.items()} for row in rows]
    assert answer.body["total"] == 2
    listed = await webhook.call("crm.timeline.comment.list", filter=COMPANY)
    assert [row["ENTITY_TYPE"] for row in listed.result] == ["company"]
    assert (await webhook.call("crm.timeline.comment.delete", id=comment)).error == "MULTIPLE_BINDINGS"
    assert (await webhook.call(f"{PREFIX}.unbind", fields=fields)).result is True
    answer = await webhook.call(f"{PREFIX}.unbind", fields=fields)
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": "Not found."})


async def test_a_comment_without_owners_remains(webhook: RestClient, comment: int) -> None:
    await webhook.call(f"{PREFIX}.unbind", fields={"OWNER_ID": comment, **DEAL})
    assert (await webhook.call(f"{PREFIX}.list", filter={"OWNER_ID": comment})).result == []
    answer = await webhook.call("crm.timeline.comment.get", id=comment)
    assert answer.body == {"error": "", "error_description": "Access denied."}


@pytest.mark.parametrize("verb", ["bind", "unbind"])
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"OWNER_ID": 0}, "OWNER_ID is not defined or invalid."),
        ({"ENTITY_ID": None}, "ENTITY_ID is not defined or invalid."),
        ({"ENTITY_TYPE": "elephant"}, "ENTITY_TYPE is not defined or invalid."),
        ({"OWNER_ID": 999}, "Access denied."),
    ],
)
async def test_a_binding_needs_a_comment_and_a_record(
    webhook: RestClient, comment: int, verb: str, changes: dict[str, Any], text: str
) -> None:
    answer = await webhook.call(f"{PREFIX}.{verb}", fields={"OWNER_ID": comment, **COMPANY, **changes})
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": text})


async def test_a_missing_or_denied_record_is_refused(webhook: RestClient, portal: SandboxPortal, comment: int) -> None:
    denied = {"error": "", "error_description": "Access denied."}
    missing = {"OWNER_ID": comment, **COMPANY, "ENTITY_ID": 999_999}
    assert (await webhook.call(f"{PREFIX}.bind", fields=missing)).body == denied
    portal.deny("companies")
    assert (await webhook.call(f"{PREFIX}.bind", fields={"OWNER_ID": comment, **COMPANY})).body == denied


async def test_a_list_needs_a_comment(webhook: RestClient) -> None:
    answer = await webhook.call(f"{PREFIX}.list")
    assert (answer.status, answer.body["error_description"]) == (400, "OWNER_ID is not defined or invalid.")
    assert (await webhook.call(f"{PREFIX}.list", filter={"OWNER_ID": 999})).result == []


async def test_all_fields_of_a_binding_are_required(webhook: RestClient) -> None:
    fields = (await webhook.call(f"{PREFIX}.fields")).result
    assert list(fields) == ["OWNER_ID", "ENTITY_ID", "ENTITY_TYPE"]
    assert all(field["isRequired"] and field["isImmutable"] for field in fields.values())
