"""Portals that lie about their lists, or change them while they are read: every row, or why there is not every row."""

from collections.abc import AsyncIterator, Callable
from random import Random

import pytest

from gateway.bitrix.lists.full import MAX_OFFSET_ROWS
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS
from tests.gateway import RESOURCES, Gateway, Sandbox
from tests.support.meddler import Meddler, Told, meddling
from tests.support.portal_rows import FIELDS, MIRRORED, PIPELINES, STEPS, USERS, Mirrored, each_list, fill_all

BROKEN = "the portal's answer cannot be read: "
DISORDER = BROKEN + "a page that does not ascend from where it should begin"
CHANGED = BROKEN + "the list changed while it was read"
REFUSAL = {"error": "ACCESS_DENIED", "error_description": "Not for you"}
FAILURE = {"error": "INTERNAL_SERVER_ERROR", "error_description": "Later perhaps"}

Lie = Callable[[Told], None]


@pytest.fixture
async def meddler(gateway: Gateway, sandbox: Sandbox) -> AsyncIterator[Meddler]:
    """A portal with five rows of everything, mirrored through a man in the middle who has kept quiet so far."""
    fill_all(sandbox.portal.data, 5)
    async with meddling(sandbox) as meddler:
        await gateway.connect(meddler.webhook)
        sandbox.portal.calls.clear()
        meddler.batches.clear()
        yield meddler
        await gateway.stop()


def about(mirrored: Mirrored, lie: Lie) -> Lie:
    """*lie*, told of the rows of one list alone."""

    def answer(told: Told) -> None:
        if told.method == mirrored.method and told.rows:
            lie(told)

    return answer


async def shown(gateway: Gateway) -> dict[str, bytes]:
    return {name: (await gateway.get(f"/bitrix/{name}")).body for name in RESOURCES}


LIES = ({"total": 7}, {"total": 5}, {"total": 0}, {"total": -1}, {"total": 10**12})


@each_list
@pytest.mark.parametrize("lie", LIES, ids=str)
async def test_a_wrong_total_never_makes_a_list_shorter(
    gateway: Gateway, sandbox: Sandbox, meddler: Meddler, mirrored: Mirrored, lie: dict[str, int]
) -> None:
    before = await shown(gateway)
    mirrored.add(sandbox.portal.data, 6)
    meddler.answer = about(mirrored, lambda told: told.answer.update(lie) if "row 6" in str(told.rows) else None)
    (run,) = await gateway.sync(mirrored.name)
    assert len(meddler.batches) <= MAX_PAGE_ATTEMPTS * (1 + MAX_OFFSET_ROWS / 50 / 50)
    if mirrored is USERS or lie["total"] < 6:  # users are read without a total; fewer than there are is no loss
        assert (run["state"], run["error"]) == ("done", None)
        assert mirrored.ids(await gateway.rows(mirrored.name)) == [1, 2, 3, 4, 5, 6]
    else:
        reason = f"{BROKEN}the portal counts {lie['total']} rows and gives 6"
        assert run["error"] == f"{mirrored.method} could not be read beyond id 0: {reason}"
        assert await shown(gateway) == before


@each_list
async def test_a_wrong_next_leads_nobody_astray(
    gateway: Gateway, sandbox: Sandbox, meddler: Meddler, mirrored: Mirrored
) -> None:
    mirrored.add(sandbox.portal.data, 6)
    (honest,) = await gateway.sync(mirrored.name)
    asked = len(meddler.batches)
    for following in (0, 3, 50, 10**12):
        meddler.answer = about(mirrored, lambda told, following=following: told.answer.update(next=following))  # type: ignore[misc]
        (run,) = await gateway.sync(mirrored.name)
        assert (run["error"], run["rows"]) == (None, honest["rows"])
    assert len(meddler.batches) == 5 * asked
    assert mirrored.ids(await gateway.rows(mirrored.name)) == [1, 2, 3, 4, 5, 6]


DISORDERS: list[tuple[str, Lie]] = [
    ("reversed", lambda told: told.rows.reverse()),
    ("repeated", lambda told: told.rows.insert(1, told.rows[0])),
    ("from before", lambda told: told.rows.insert(0, {**told.rows[0], "ID": told.params["FILTER"].get(">ID", "0")})),
]


@pytest.mark.parametrize("lie", [lie for _, lie in DISORDERS], ids=[name for name, _ in DISORDERS])
@pytest.mark.parametrize("times", [1, 10**6])
async def test_rows_out_of_order_are_asked_for_again_and_never_believed(
    gateway: Gateway, sandbox: Sandbox, meddler: Meddler, lie: Lie, times: int
) -> None:
    before = await shown(gateway)
    USERS.fill(sandbox.portal.data, 8)
    is_first_page = about(USERS, lambda told: lie(told) if told.params["order"] == "ASC" else None)
    lies = iter(range(times))
    meddler.answer = lambda told: is_first_page(told) if told.position == 0 and next(lies, None) is not None else None
    (run,) = await gateway.sync("users")
    if times == 1:
        assert run["error"] is None
        assert USERS.labels(await gateway.rows("users")) == {row_id: f"row {row_id}" for row_id in range(1, 9)}
        assert len(meddler.batches) == 2
    else:
        assert run["error"] == f"user.get could not be read beyond id 0: {DISORDER}"
        assert await shown(gateway) == before
        assert len(meddler.batches) == MAX_PAGE_ATTEMPTS


@pytest.mark.parametrize("mirrored", [STEPS, PIPELINES, FIELDS], ids=lambda one: one.name)
async def test_the_order_of_lists_that_come_whole_does_not_matter(
    gateway: Gateway, sandbox: Sandbox, meddler: Meddler, mirrored: Mirrored
) -> None:
    mirrored.add(sandbox.portal.data, 6)
    meddler.answer = about(mirrored, lambda told: Random(7).shuffle(told.rows))
    (run,) = await gateway.sync(mirrored.name)
    assert run["error"] is None
    assert mirrored.ids(await gateway.rows(mirrored.name)) == [1, 2, 3, 4, 5, 6]


async def test_a_row_that_a_list_skips_is_asked_for_by_its_id_before_it_is_taken_for_deleted(
    gateway: Gateway, sandbox: Sandbox, meddler: Meddler
) -> None:
    before = USERS.identities(await gateway.rows("users"))

    def skip(told: Told) -> None:
        if "@ID" not in told.params["FILTER"]:
            told.answer["result"] = [row for row in told.rows if row["ID"] not in ("2", "5")]

    meddler.answer = about(USERS, skip)
    del sandbox.portal.data.users[4]
    (run,) = await gateway.sync("users")
    assert run["error"] is None
    after = USERS.identities(await gateway.rows("users"))
    assert after == {row_id: identity for row_id, identity in before.items() if row_id != 4}
    filters = [[told.params["FILTER"] for told in batch] for batch in meddler.batches[-2:]]
    assert filters == [[{"@ID": {"0": "2", "1": "4", "2": "5"}}], [{"@ID": {"0": "4"}}]]


@pytest.mark.parametrize("seed", range(5))
async def test_users_that_change_between_any_two_requests_are_neither_lost_nor_doubled(
    gateway: Gateway, sandbox: Sandbox, meddler: Meddler, seed: int
) -> None:
    chance, data = Random(seed), sandbox.portal.data
    USERS.fill(data, 900)
    await gateway.sync("users")
    stay = set(range(1, 901))
    edits = 0

    def disturb() -> None:
        nonlocal edits
        for gone in chance.sample(sorted(data.users), 15):
            del data.users[gone]
            stay.discard(gone)
        for _ in range(15):
            USERS.add(data, chance.randint(1, 1200))
        for edited in chance.sample(sorted(data.users), 15):
            edits += 1
            USERS.relabel(data, edited, f"edit {edits}")

    meddler.before = disturb
    (run,) = await gateway.sync("users")
    assert run["error"] is None
    ids = USERS.ids(await gateway.rows("users"))
    assert len(ids) == len(set(ids))
    assert set(ids) >= stay & set(data.users)
    assert edits >= 30

    meddler.before = lambda: None
    await gateway.sync("users")
    assert USERS.labels(await gateway.rows("users")) == {row_id: row["NAME"] for row_id, row in data.users.items()}


@pytest.mark.parametrize("mirrored", [STEPS, PIPELINES, FIELDS], ids=lambda one: one.name)
@pytest.mark.parametrize("changes", [2, 3])
async def test_a_list_by_offset_that_changes_between_its_pages_is_read_again_or_fails(
    gateway: Gateway, sandbox: Sandbox, meddler: Meddler, mirrored: Mirrored, changes: int
) -> None:
    data = sandbox.portal.data
    mirrored.fill(data, 120)
    if mirrored is not FIELDS:  # one answer holds it all: nothing can come in between
        meddler.before = lambda: mirrored.add(data, 1000 + len(meddler.batches))
        (run,) = await gateway.sync(mirrored.name)
        assert (run["error"], len(await gateway.rows(mirrored.name))) == (None, 121)
        return
    before = await shown(gateway)
    left = iter(range(2 * changes))

    def disturb() -> None:
        if next(left, None) is not None:
            del mirrored.table(data)[min(mirrored.table(data))]

    meddler.before = disturb
    (run,) = await gateway.sync("fields")
    if changes == MAX_PAGE_ATTEMPTS:
        assert run["error"] == f"{FIELDS.method} could not be read beyond id 0: {CHANGED}"
        assert await shown(gateway) == before
    else:
        assert run["error"] is None
        assert FIELDS.ids(await gateway.rows("fields")) == sorted(FIELDS.table(data))


@pytest.mark.parametrize("position", [0, 3, 7], ids=["first", "middle", "last"])
async def test_one_refused_command_of_a_batch_costs_the_others_nothing(
    gateway: Gateway, sandbox: Sandbox, meddler: Meddler, position: int
) -> None:
    fields = sandbox.portal.data.userfields
    for row_id, table in enumerate(fields.values(), start=50):
        table[row_id] = {**FIELDS.make(row_id), "ENTITY_ID": "CRM_LEAD"}
    await gateway.sync("fields")
    meddler.batches.clear()
    methods: list[str] = []

    def refuse(told: Told) -> None:
        if told.position == position and len(meddler.batches) == 0:
            methods.append(told.method)
            told.answer = {"error": REFUSAL}

    meddler.answer = refuse
    FIELDS.relabel(sandbox.portal.data, 1, "changed")
    before = {row["bitrixID"] for row in await gateway.rows("fields")}
    (run,) = await gateway.sync("fields")
    (skipped,) = run["skipped"]
    assert run["state"] == "done"
    assert skipped["list"].startswith(methods[0])
    assert skipped["reason"] == "ACCESS_DENIED: Not for you"
    rows = await gateway.rows("fields")
    assert {row["bitrixID"] for row in rows} == before
    assert ("changed" in FIELDS.labels(rows).values()) is (methods[0] != FIELDS.method)
    assert len(meddler.batches) == 1


@pytest.mark.parametrize("position", [0, 6, -1], ids=["first", "middle", "last"])
async def test_one_failed_command_of_a_batch_is_asked_again_alone(
    gateway: Gateway, sandbox: Sandbox, meddler: Meddler, position: int
) -> None:
    USERS.fill(sandbox.portal.data, 700)
    await gateway.sync("users")
    sizes = [len(batch) for batch in meddler.batches]
    meddler.batches.clear()

    def fail(told: Told) -> None:
        if len(meddler.batches) == 1 and told.position == position % sizes[1]:
            told.answer = {"error": FAILURE}

    meddler.answer = fail
    (run,) = await gateway.sync("users")
    assert (run["error"], run["rows"]) == (None, 700)
    assert USERS.ids(await gateway.rows("users")) == list(range(1, 701))
    assert [len(batch) for batch in meddler.batches] == [*sizes[:2], 1, *sizes[2:]]


async def test_a_command_that_keeps_failing_fails_the_walk_where_it_stands(
    gateway: Gateway, sandbox: Sandbox, meddler: Meddler
) -> None:
    USERS.fill(sandbox.portal.data, 700)

    bounds: set[int] = set()

    def fail(told: Told) -> None:
        bound = int(told.params["FILTER"][">ID"])
        if bound < 400 <= int(told.params["FILTER"].get("<=ID", 0)):
            bounds.add(bound)
            told.answer = {"error": FAILURE}

    meddler.answer = fail
    (run,) = await gateway.sync("users")
    (bound,) = bounds
    assert run["error"] == f"user.get could not be read beyond id {bound}: INTERNAL_SERVER_ERROR: Later perhaps"
    assert 250 <= run["cursor"] <= bound
    assert USERS.ids(await gateway.rows("users")) == list(range(1, run["cursor"] + 1))
    meddler.answer = lambda _told: None
    await gateway.sync("users")
    assert USERS.ids(await gateway.rows("users")) == list(range(1, 701))


@pytest.mark.usefixtures("meddler")
@pytest.mark.parametrize("fault", ["qle200@1", "qle200*3@1", "qle@1"])
async def test_a_limit_met_in_the_middle_of_a_list_is_waited_for(
    gateway: Gateway, sandbox: Sandbox, fault: str
) -> None:
    USERS.fill(sandbox.portal.data, 700)
    sandbox.portal.fault(f"batch:{fault}")
    began = gateway.clock.now()
    (run,) = await gateway.sync("users")
    assert (run["error"], run["rows"]) == (None, 700)
    assert USERS.ids(await gateway.rows("users")) == list(range(1, 701))
    assert sandbox.portal.refusals["QUERY_LIMIT_EXCEEDED"] == (3 if "*3" in fault else 1)
    assert gateway.clock.now() - began >= 1


@pytest.mark.usefixtures("meddler")
async def test_lists_that_failed_together_come_right_together(gateway: Gateway, sandbox: Sandbox) -> None:
    for mirrored in MIRRORED:
        mirrored.add(sandbox.portal.data, 6)
    sandbox.portal.fault("batch:html200*4")
    for run in await gateway.sync(*RESOURCES):
        assert run["error"] is None
    for mirrored in MIRRORED:
        assert mirrored.ids(await gateway.rows(mirrored.name)) == [1, 2, 3, 4, 5, 6]
