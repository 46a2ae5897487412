"""Pages of the mirrored lists: page numbers, order and HTTP caching."""

from urllib.parse import quote

import pytest

from tests.gateway import Gateway, Sandbox
from tests.support.portal_rows import MIRRORED, USERS, Mirrored, each_list, fill_all

NOT_FOUND = {"steps": "stages not found", "pipelines": "pipelines not found", "fields": "fields not found"}
NO_NUMBER = "must be a positive integer of at most 18 digits"
NO_NUMBERS = (
    "0", "-1", "-0", "+5", "", "abc", "1.5", "1e3", "1_000", "0x10", " 5", "5 ", "5,6", "null", "true", "[]", "1\x00",
    "٣", "５", "²", "9" * 19, "9" * 5000,
)  # fmt: skip


@pytest.fixture
async def sixty(gateway: Gateway, sandbox: Sandbox) -> Gateway:
    """The gateway with sixty rows in each list."""
    fill_all(sandbox.portal.data, 60)
    await gateway.connect(sandbox.webhook)
    return gateway


@each_list
async def test_pages_of_any_size_contain_every_row_once(sixty: Gateway, mirrored: Mirrored) -> None:
    for size in (20, 25, 7):
        found = []
        for page in range(1, -(-60 // size) + 1):
            answer = (await sixty.get(f"/bitrix/{mirrored.name}?page={page}&size={size}")).json
            assert set(answer) == {"count", "items"}
            assert answer["count"] == 60
            assert len(answer["items"]) == min(size, 60 - size * (page - 1))
            found += answer["items"]
        assert mirrored.ids(found) == list(range(1, 61))
        own_ids = [row[mirrored.own_id] for row in found]
        assert own_ids == sorted(set(own_ids))


@each_list
async def test_the_default_page_has_the_first_25_rows(sixty: Gateway, mirrored: Mirrored) -> None:
    bare = await sixty.get(f"/bitrix/{mirrored.name}")
    assert bare.headers["Content-Type"] == "application/json"
    assert mirrored.ids(bare.json["items"]) == list(range(1, 26))
    for query in ("page=1&size=25", "page=1", "size=25", "size=25&other=1&PAGE=9&page%5B%5D=4", "page=01&size=025"):
        assert (await sixty.get(f"/bitrix/{mirrored.name}?{query}")).body == bare.body


@each_list
async def test_a_page_past_the_end_is_empty_and_has_the_count(sixty: Gateway, mirrored: Mirrored) -> None:
    for query in ("page=4&size=20", "page=99", f"page={10**18 - 1}&size={10**18 - 1}", f"page=2&size={2**31}"):
        answer = await sixty.get(f"/bitrix/{mirrored.name}?{query}")
        assert (answer.status, answer.json) == (200, {"count": 60, "items": []})


@each_list
async def test_size_has_no_maximum(gateway: Gateway, sandbox: Sandbox, mirrored: Mirrored) -> None:
    fill_all(sandbox.portal.data, 300)
    await gateway.connect(sandbox.webhook)
    for size in (300, 10**18 - 1):
        assert mirrored.ids((await gateway.get(f"/bitrix/{mirrored.name}?size={size}")).json["items"]) == list(
            range(1, 301)
        )


async def test_page_and_size_must_be_positive_integers(gateway: Gateway) -> None:
    for name in ("page", "size"):
        for text in NO_NUMBERS:
            answer = await gateway.get(f"/bitrix/users?{name}={quote(text)}")
            assert (answer.status, answer.json) == (400, f"{name}: {NO_NUMBER}"), text


@each_list
async def test_an_invalid_page_is_not_replaced_by_another(sixty: Gateway, mirrored: Mirrored) -> None:
    queries = ("page=0", "page=-1", "size=0", "size=-1", "page=abc", "size=1.5", "page=", "page", "page=2&size=x")
    statuses = {query: (await sixty.get(f"/bitrix/{mirrored.name}?{query}")).status for query in queries}
    assert statuses == dict.fromkeys(queries, 400)


@pytest.mark.parametrize("query", ["page=1&page=1", "page=1&size=2&page=3", "size=5&size=5", "page=&page=1"])
async def test_a_repeated_parameter_is_refused(sixty: Gateway, query: str) -> None:
    answer = await sixty.get(f"/bitrix/users?{query}")
    assert answer.status == 400
    assert "is given more than once" in answer.json


@each_list
async def test_an_empty_list_is_a_404_except_for_users(gateway: Gateway, sandbox: Sandbox, mirrored: Mirrored) -> None:
    expected = (200, {"count": 0, "items": []}) if mirrored is USERS else (404, NOT_FOUND[mirrored.name])
    for query in ("", "?page=2&size=5"):
        stranger = await gateway.get(f"/bitrix/{mirrored.name}{query}")
        assert (stranger.status, stranger.json) == expected
    fill_all(sandbox.portal.data, 0)
    await gateway.connect(sandbox.webhook)
    connected = await gateway.get(f"/bitrix/{mirrored.name}")
    assert (connected.status, connected.json) == expected
    mirrored.fill(sandbox.portal.data, 3)
    await gateway.sync(mirrored.name)
    assert (await gateway.get(f"/bitrix/{mirrored.name}")).json["count"] == 3
    mirrored.fill(sandbox.portal.data, 0)
    await gateway.sync(mirrored.name)
    emptied = await gateway.get(f"/bitrix/{mirrored.name}")
    assert (emptied.status, emptied.json) == expected


async def test_an_unchanged_page_is_a_304(sixty: Gateway) -> None:
    first = await sixty.get("/bitrix/users?page=2")
    etag = first.headers["ETag"]
    assert (first.headers["Cache-Control"], first.headers["Vary"]) == ("private, no-cache", "Authorization")
    for named in (etag, f"W/{etag}", f'"other", {etag}', "*", f'"a",W/{etag},"b"'):
        again = await sixty.get("/bitrix/users?page=2", headers={"If-None-Match": named})
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag), named
    for named in ('"other"', etag.strip('"'), f'"x{etag[1:]}', ""):
        again = await sixty.get("/bitrix/users?page=2", headers={"If-None-Match": named})
        assert (again.status, again.body) == (200, first.body), named


async def test_an_etag_is_shared_by_the_tokens_of_one_account_only(sixty: Gateway, sandbox: Sandbox) -> None:
    await sixty.connect(sandbox.webhook, account="other")
    mine = await sixty.get("/bitrix/users")
    same = {"If-None-Match": mine.headers["ETag"]}
    assert (await sixty.get("/bitrix/users", token=sixty.token(ttl_s=77), headers=same)).status == 304
    foreign = await sixty.get("/bitrix/users", account="other", headers=same)
    assert foreign.status == 200
    assert foreign.headers["ETag"] != mine.headers["ETag"]


@each_list
async def test_an_etag_changes_only_when_a_row_of_its_list_changes(
    sixty: Gateway, sandbox: Sandbox, mirrored: Mirrored
) -> None:
    others = [other for other in MIRRORED if other is not mirrored]
    before = {each.name: (await sixty.get(f"/bitrix/{each.name}")).headers["ETag"] for each in MIRRORED}
    mirrored.relabel(sandbox.portal.data, 60, "other")
    await sixty.sync(*before)
    # Row 60 is not on page 1, but the ETag is that of the whole list.
    changed = await sixty.get(f"/bitrix/{mirrored.name}", headers={"If-None-Match": before[mirrored.name]})
    assert changed.status == 200
    for other in others:
        answer = await sixty.get(f"/bitrix/{other.name}", headers={"If-None-Match": before[other.name]})
        assert answer.status == 304


async def test_an_etag_from_before_a_restart_does_not_match(sixty: Gateway) -> None:
    before = await sixty.get("/bitrix/users")
    await sixty.restart()
    after = await sixty.get("/bitrix/users", headers={"If-None-Match": before.headers["ETag"]})
    assert (after.status, after.body) == (200, before.body)
