"""Comments of timelines: their life, their files and their errors."""

import base64
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.sandbox.client import RestClient, row_ids
from tests.sandbox.examples import compare, documented

GIF = "R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw=="
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8) + bytes([0, 0, 0, 3, 0, 0, 0, 2])).decode()
NEW = {"ENTITY_ID": 2, "ENTITY_TYPE": "deal", "COMMENT": "New comment"}
FILES = [["1.gif", GIF], ["2.gif", GIF]]
OF_DEAL = {"ENTITY_ID": 2, "ENTITY_TYPE": "deal"}
PREFIX = "crm.timeline.comment"


async def add(webhook: RestClient, **fields: Any) -> int:
    return int((await webhook.call(f"{PREFIX}.add", fields={**NEW, **fields})).result)


async def get(webhook: RestClient, comment_id: int) -> Any:
    return (await webhook.call(f"{PREFIX}.get", id=comment_id)).result


async def test_a_comment_is_added_read_changed_and_deleted(webhook: RestClient) -> None:
    comment_id = await add(webhook)
    comment = await get(webhook, comment_id)
    assert comment["CREATED"].endswith("+03:00")
    assert {name: comment[name] for name in NEW} == {name: str(value) for name, value in NEW.items()}
    updated = await webhook.call(f"{PREFIX}.update", id=comment_id, fields={"COMMENT": "Changed", "AUTHOR_ID": 9})
    assert updated.result == comment_id
    assert await get(webhook, comment_id) == {**comment, "COMMENT": "Changed"}
    deleted = await webhook.call(f"{PREFIX}.delete", id=comment_id)
    assert deleted.body["result"] is None
    assert (await webhook.call(f"{PREFIX}.list", filter=OF_DEAL)).result == []
    assert await add(webhook) == comment_id + 1


async def test_answers_have_the_documented_keys_and_types(webhook: RestClient) -> None:
    added = await webhook.call(f"{PREFIX}.add", fields={**NEW, "FILES": FILES})
    compare(added.body, f"{PREFIX}.add")
    comment = await webhook.call(f"{PREFIX}.get", id=added.result)
    comments = await webhook.call(f"{PREFIX}.list", filter=OF_DEAL)
    for row in (comment.result, *comments.result):
        row["FILES"] = dict(zip("12", row["FILES"].values(), strict=True))  # the ids in the documentation
    compare(comment.body, f"{PREFIX}.get")
    compare(comments.body, f"{PREFIX}.list")
    compare((await webhook.call(f"{PREFIX}.update", id=added.result, fields=NEW)).body, f"{PREFIX}.update")
    compare((await webhook.call(f"{PREFIX}.delete", id=added.result)).body, f"{PREFIX}.delete")
    compare((await webhook.call(f"{PREFIX}.fields")).body, f"{PREFIX}.fields")


async def test_files_are_measured_and_replaced(webhook: RestClient) -> None:
    text = base64.b64encode(b"text").decode()
    comment_id = await add(webhook, FILES=[["a.png", PNG], ["b.txt", text], ["c.mp4", text], ["d.txt", "?"], "e"])
    files = list((await get(webhook, comment_id))["FILES"].values())
    assert [file["type"] for file in files] == ["image", "file", "video"]
    assert [file["image"] for file in files] == [{"width": 3, "height": 2}, False, False]
    assert [file["size"] for file in files] == [24, 4, 4]
    await webhook.call(f"{PREFIX}.update", id=comment_id, fields={"COMMENT": "Same files"})
    assert list((await get(webhook, comment_id))["FILES"].values()) == files
    await webhook.call(f"{PREFIX}.update", id=comment_id, fields={"COMMENT": "Other file", "FILES": FILES[:1]})
    [file_id] = (await get(webhook, comment_id))["FILES"]
    assert int(file_id) > max(file["id"] for file in files)
    await webhook.call(f"{PREFIX}.update", id=comment_id, fields={"COMMENT": "No file", "FILES": []})
    assert "FILES" not in await get(webhook, comment_id)


@pytest.mark.parametrize("settings", [SandboxSettings(page_rows=3)])
async def test_comments_of_one_record_are_listed_in_order(webhook: RestClient) -> None:
    ids = [await add(webhook) for _ in range(4)]
    await add(webhook, ENTITY_ID=3)
    pages = [
        (await webhook.call(f"{PREFIX}.list", filter=OF_DEAL, order={"ID": "DESC"}, select=["ID"], start=start)).body
        for start in (0, 3)
    ]
    assert [row for page in pages for row in row_ids(page["result"])] == ids[::-1]
    assert (pages[0]["next"], pages[0]["total"]) == (3, 4)
    assert pages[1]["result"] == [{"ID": str(ids[0])}]


@pytest.mark.parametrize("entity", ["lead", "Contact", "company", "quote", "dynamic_128", "smart_invoice"])
async def test_every_kind_of_record_has_comments(webhook: RestClient, portal: SandboxPortal, entity: str) -> None:
    comment_id = await add(webhook, ENTITY_TYPE=entity, ENTITY_ID=1, AUTHOR_ID=2)
    comment = await get(webhook, comment_id)
    assert (comment["ENTITY_TYPE"], comment["AUTHOR_ID"]) == (entity.lower(), "2" if 2 in portal.data.users else "1")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"ENTITY_TYPE": "elephant"}, "OWNER_NOT_FOUND"),
        ({"ENTITY_TYPE": "dynamic_999"}, "OWNER_NOT_FOUND"),
        ({"ENTITY_ID": 0}, "OWNER_NOT_FOUND"),
        ({"COMMENT": " "}, "INVALID_ARG_VALUE"),
        ({"COMMENT": None}, "INVALID_ARG_VALUE"),
    ],
)
async def test_a_comment_needs_an_owner_and_a_text(webhook: RestClient, fields: dict[str, Any], code: str) -> None:
    answer = await webhook.call(f"{PREFIX}.add", fields={**NEW, **fields})
    assert (answer.status, answer.error) == (400, code)


async def test_a_missing_record_or_comment_is_not_found_as_documented(webhook: RestClient) -> None:
    answer = await webhook.call(f"{PREFIX}.add", fields={**NEW, "ENTITY_ID": 999_999})
    assert (answer.status, answer.body) == (400, documented(f"{PREFIX}.add.error"))
    for verb in ("update", "delete", "get"):
        answer = await webhook.call(f"{PREFIX}.{verb}", id=5, fields=NEW)
        assert (answer.status, answer.body) == (400, documented(f"{PREFIX}.{verb}.error"))
    answer = await webhook.call(f"{PREFIX}.get")
    assert answer.body == {"error": "", "error_description": "ID is not defined or invalid."}


@pytest.mark.parametrize(
    ("verb", "params"),
    [("add", {}), ("add", {"FIELDS": NEW}), ("update", {"id": 1}), ("update", {"fields": NEW}), ("delete", {})],
)
async def test_controllers_need_their_exact_parameters(webhook: RestClient, verb: str, params: dict[str, Any]) -> None:
    assert (await webhook.call(f"{PREFIX}.{verb}", **params)).error == "100"


async def test_without_the_right_to_the_record_a_comment_is_denied(webhook: RestClient, portal: SandboxPortal) -> None:
    comment_id = await add(webhook)
    portal.deny("deals")
    for verb in ("add", "update", "delete"):
        answer = await webhook.call(f"{PREFIX}.{verb}", id=comment_id, fields=NEW)
        assert (answer.status, answer.error) == (400, "ACCESS_DENIED")
    for verb in ("get", "list"):
        answer = await webhook.call(f"{PREFIX}.{verb}", id=comment_id, filter=OF_DEAL)
        assert (answer.status, answer.body) == (400, documented(f"{PREFIX}.list.error"))


async def test_a_list_needs_a_record(webhook: RestClient) -> None:
    answer = await webhook.call(f"{PREFIX}.list", filter={"ENTITY_ID": 2})
    assert (answer.status, answer.body) == (400, documented(f"{PREFIX}.list.error"))


async def test_a_comment_of_two_records_is_deleted_from_one_at_a_time(
    webhook: RestClient, portal: SandboxPortal
) -> None:
    comment_id = await add(webhook)
    portal.data.comments[comment_id]["OWNERS"].append((3, 1))
    assert (await webhook.call(f"{PREFIX}.delete", id=comment_id)).error == "MULTIPLE_BINDINGS"
    wrong = await webhook.call(f"{PREFIX}.delete", id=comment_id, ownerTypeId=2, ownerId=1)
    assert wrong.error == "OWNER_NOT_FOUND"
    await webhook.call(f"{PREFIX}.delete", id=comment_id, ownerTypeId=2, ownerId=2)
    assert (await get(webhook, comment_id))["ENTITY_TYPE"] == "contact"
    await webhook.call(f"{PREFIX}.delete", id=comment_id, ownerTypeId=3, ownerId=1)
    assert portal.data.comments == {}
