"""Callers read and add the comments in the timelines of records."""

from typing import Any

import pytest

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import ALL_RECORDS, portal_ids

ENTITY_TYPES = {
    "leads": "lead",
    "deals": "deal",
    "contacts": "contact",
    "companies": "company",
    "quotes": "quote",
    "invoices": "smart_invoice",
    "items/128": "dynamic_128",
}
ADD = "crm.timeline.comment.add"


async def post(gateway: Gateway, path: str, body: Any, **headers: str) -> Answer:
    """Add a comment, and let the time pass that this waits."""
    sent = gateway.request("POST", f"/bitrix/{path}/comments", json=body, headers=headers)
    return await gateway.clock.until(sent)


@pytest.mark.parametrize("resource", ALL_RECORDS)
async def test_a_comment_is_added_to_its_record_alone(connected: Gateway, sandbox: Sandbox, resource: str) -> None:
    row_id, other = portal_ids(sandbox, resource)[:2]
    path = f"{resource}/{row_id}"
    assert (await connected.get(f"/bitrix/{path}/comments")).json == {"items": []}
    text = " Первый 🧩\n[b]a&b=c[/b] "
    answer = await post(connected, path, {"text": text})
    assert answer.status == 201, answer.body
    comment = answer.json
    assert (comment["ID"], comment["COMMENT"], comment["AUTHOR_ID"]) == (str(comment["id"]), text, "1")
    assert (comment["ENTITY_TYPE"], comment["ENTITY_ID"]) == (ENTITY_TYPES[resource], str(row_id))
    second = (await post(connected, path, {"text": "second"})).json
    assert (await connected.get(f"/bitrix/{path}/comments")).json == {"items": [comment, second]}
    assert (await connected.get(f"/bitrix/{resource}/{other}/comments")).json == {"items": []}


async def test_all_comments_are_listed_the_oldest_first(connected: Gateway, sandbox: Sandbox) -> None:
    ids = [(await post(connected, "deals/1", {"text": str(number)})).json["id"] for number in range(3)]
    rows = sandbox.portal.data.comments
    for row_id in range(1000, 1120):
        rows[row_id] = rows[ids[0]] | {"ID": str(row_id), "COMMENT": "more"}
    answer = await connected.clock.until(connected.get("/bitrix/deals/1/comments"))
    assert [comment["id"] for comment in answer.json["items"]] == [*ids, *range(1000, 1120)]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ([], [""]),
        ("x", [""]),
        (7, [""]),
        (False, [""]),
        (None, [""]),
        ({}, ["/text"]),
        ({"text": None}, ["/text"]),
        ({"text": ""}, ["/text"]),
        ({"text": " \n"}, ["/text"]),
        ({"text": 7}, ["/text"]),
        ({"text": ["x"]}, ["/text"]),
        ({"COMMENT": "x", "AUTHOR_ID": 7}, ["/AUTHOR_ID", "/COMMENT", "/text"]),
        ({"text": "x", "FILES": [["a.txt", "YQ=="]]}, ["/FILES"]),
        ({"text": "x", "files": None}, ["/files"]),
    ],
)
async def test_a_body_that_is_not_valid_names_every_mistake(
    connected: Gateway, sandbox: Sandbox, body: Any, pointers: list[str]
) -> None:
    requests = sandbox.portal.http_requests
    data = {"data": b"null", "headers": {"Content-Type": "application/json"}} if body is None else {"json": body}
    answer = await connected.request("POST", "/bitrix/deals/1/comments", **data)
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")
    assert sorted(error["pointer"] for error in answer.json["errors"]) == pointers
    assert sandbox.portal.http_requests == requests


@pytest.mark.parametrize("files", [None, [], [["a.txt", "YQ=="]], "x"])
async def test_files_are_refused_by_name(connected: Gateway, files: Any) -> None:
    answer = await post(connected, "deals/1", {"text": "x", "FILES": files})
    assert answer.json["detail"] == "FILES: must be left out: files cannot be attached to a comment here"


@pytest.mark.parametrize("fault", ["cut", "drop"])
async def test_a_lost_answer_is_told_and_nothing_is_sent_again(
    connected: Gateway, sandbox: Sandbox, fault: str
) -> None:
    sandbox.portal.fault(f"{ADD}:{fault}")
    for _ in range(2):
        answer = await post(connected, "deals/1", {"text": "x"}, **{"Idempotency-Key": "1"})
        assert (answer.status, answer.json["code"]) == (502, "outcome_unknown")
    assert len((await connected.get("/bitrix/deals/1/comments")).json["items"]) == (1 if fault == "cut" else 0)


async def test_a_key_gets_the_same_answer(connected: Gateway) -> None:
    key = {"Idempotency-Key": "1"}
    first, again = [await post(connected, "deals/1", {"text": "x"}, **key) for _ in range(2)]
    assert (again.status, again.body, again.headers["Idempotent-Replayed"]) == (201, first.body, "true")
    assert (await connected.get("/bitrix/deals/1/comments")).json == {"items": [first.json]}
    for path, body in (("deals/1", {"text": "y"}), ("deals/2", {"text": "x"})):
        answer = await post(connected, path, body, **key)
        assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("resource", ALL_RECORDS)
async def test_an_unknown_record_is_404_with_the_words_of_the_portal(connected: Gateway, resource: str) -> None:
    path = f"{resource}/999999"
    for answer in (await connected.get(f"/bitrix/{path}/comments"), await post(connected, path, {"text": "x"})):
        assert (answer.status, answer.json["code"]) == (404, "portal_not_found")
        assert answer.json["detail"] == f"the portal has no record 999999 of {resource}"
        assert "not found" in answer.json["portalError"]["description"].lower()


async def test_a_refusal_of_the_portal_arrives_with_its_code_and_words(connected: Gateway, sandbox: Sandbox) -> None:
    for method in ("crm.timeline.comment.list", ADD):
        sandbox.portal.fault(f"{method}:error=insufficient_scope*")
    for answer in (await connected.get("/bitrix/deals/1/comments"), await post(connected, "deals/1", {"text": "x"})):
        assert (answer.status, answer.json["code"]) == (403, "insufficient_scope")
    sandbox.portal.clear_faults()
    sandbox.portal.deny("deals")
    for answer in (await connected.get("/bitrix/deals/1/comments"), await post(connected, "deals/1", {"text": "x"})):
        assert (answer.status, answer.json["portalError"]["description"]) == (403, "Access denied.")


async def test_a_comment_that_cannot_be_read_back_is_shown_by_its_id(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("crm.timeline.comment.get:error=ACCESS_DENIED")
    answer = await post(connected, "deals/1", {"text": "x"})
    assert (answer.status, answer.json) == (201, {"id": max(sandbox.portal.data.comments)})


async def test_a_list_that_fails_is_an_error(connected: Gateway, sandbox: Sandbox) -> None:
    await post(connected, "deals/1", {"text": "x"})
    sandbox.portal.fault("crm.timeline.comment.list:total=9*")
    answer = await connected.clock.until(connected.get("/bitrix/deals/1/comments"))
    assert (answer.status, answer.json["code"]) == (502, "walk_failed")
