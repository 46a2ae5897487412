"""Portals that misreport their lists, or change them during a read: every row arrives, or the failure says why."""

from collections.abc import AsyncIterator, Callable
from random import Random

import pytest

from gateway.bitrix.lists.full import MAX_OFFSET_ROWS
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS
from tests.gateway import RESOURCES, Gateway, Sandbox
from tests.support.altering_proxy import AlteringProxy, CommandAnswer, altering_proxy
from tests.support.portal_rows import FIELDS, MIRRORED, PIPELINES, STEPS, USERS, Mirrored, each_list, fill_all

BROKEN = "the portal's answer cannot be read: "
DISORDER = BROKEN + "a page that does not ascend from where it should begin"
CHANGED = BROKEN + "the list changed while it was read"
REFUSAL = {"error": "ACCESS_DENIED", "error_description": "Not for you"}
FAILURE = {"error": "INTERNAL_SERVER_ERROR", "error_description": "Later perhaps"}

Lie = Callable[[CommandAnswer], None]


@pytest.fixture
async def proxy(gateway: Gateway, sandbox: Sandbox) -> AsyncIterator[AlteringProxy]:
    """A portal with five rows in each list, mirrored through a proxy that has not changed any answer yet."""
    fill_all(sandbox.portal.data, 5)
    async with altering_proxy(sandbox) as proxy:
        await gateway.connect(proxy.webhook)
        sandbox.portal.calls.clear()
        proxy.batches.clear()
        yield proxy
        await gateway.stop()


def about(mirrored: Mirrored, lie: Lie) -> Lie:
    """Apply *lie* to the answers with rows of one list."""

    def answer(command: CommandAnswer) -> None:
        if command.method == mirrored.method and command.rows:
            lie(command)

    return answer


async def shown(gateway: Gateway) -> dict[str, bytes]:
    return {name: (await gateway.get(f"/bitrix/{name}")).body for name in RESOURCES}


LIES = ({"total": 7}, {"total": 5}, {"total": 0}, {"total": -1}, {"total": 10**12})


@each_list
@pytest.mark.parametrize("lie", LIES, ids=str)
async def test_a_wrong_total_does_not_shorten_a_list(
    gateway: Gateway, sandbox: Sandbox, proxy: AlteringProxy, mirrored: Mirrored, lie: dict[str, int]
) -> None:
    before = await shown(gateway)
    mirrored.add(sandbox.portal.data, 6)
    proxy.answer = about(mirrored, lambda command: command.answer.update(lie) if "row 6" in str(command.rows) else None)
    (run,) = await gateway.sync(mirrored.name)
    assert len(proxy.batches) <= MAX_PAGE_ATTEMPTS * (1 + MAX_OFFSET_ROWS / 50 / 50)
    if mirrored is USERS or lie["total"] < 6:  # users are read without a total; a too low one loses nothing
        assert (run["state"], run["error"]) == ("done", None)
        assert mirrored.ids(await gateway.rows(mirrored.name)) == [1, 2, 3, 4, 5, 6]
    else:
        reason = f"{BROKEN}the portal counts {lie['total']} rows and gives 6"
        assert run["error"] == f"{mirrored.method} could not be read beyond id 0: {reason}"
        assert await shown(gateway) == before


@each_list
async def test_a_wrong_next_is_ignored(
    gateway: Gateway, sandbox: Sandbox, proxy: AlteringProxy, mirrored: Mirrored
) -> None:
    mirrored.add(sandbox.portal.data, 6)
    (honest,) = await gateway.sync(mirrored.name)
    batches = len(proxy.batches)
    for following in (0, 3, 50, 10**12):
        proxy.answer = about(mirrored, lambda command, following=following: command.answer.update(next=following))  # type: ignore[misc]
        (run,) = await gateway.sync(mirrored.name)
        assert (run["error"], run["rows"]) == (None, honest["rows"])
    assert len(proxy.batches) == 5 * batches
    assert mirrored.ids(await gateway.rows(mirrored.name)) == [1, 2, 3, 4, 5, 6]


DISORDERS: list[tuple[str, Lie]] = [
    ("reversed", lambda command: command.rows.reverse()),
    ("repeated", lambda command: command.rows.insert(1, command.rows[0])),
    (
        "from before",
        lambda command: command.rows.insert(0, {**command.rows[0], "ID": command.params["FILTER"].get(">ID", "0")}),
    ),
]


@pytest.mark.parametrize("lie", [lie for _, lie in DISORDERS], ids=[name for name, _ in DISORDERS])
@pytest.mark.parametrize("times", [1, 10**6])
async def test_unordered_rows_are_requested_again_and_rejected(
    gateway: Gateway, sandbox: Sandbox, proxy: AlteringProxy, lie: Lie, times: int
) -> None:
    before = await shown(gateway)
    USERS.fill(sandbox.portal.data, 8)
    is_first_page = about(USERS, lambda command: lie(command) if command.params["order"] == "ASC" else None)
    lies = iter(range(times))
    proxy.answer = lambda command: (
        is_first_page(command) if command.position == 0 and next(lies, None) is not None else None
    )
    (run,) = await gateway.sync("users")
    if times == 1:
        assert run["error"] is None
        assert USERS.labels(await gateway.rows("users")) == {row_id: f"row {row_id}" for row_id in range(1, 9)}
        assert len(proxy.batches) == 2
    else:
        assert run["error"] == f"user.get could not be read beyond id 0: {DISORDER}"
        assert await shown(gateway) == before
        assert len(proxy.batches) == MAX_PAGE_ATTEMPTS


@pytest.mark.parametrize("mirrored", [STEPS, PIPELINES, FIELDS], ids=lambda one: one.name)
async def test_full_lists_may_come_in_any_order(
    gateway: Gateway, sandbox: Sandbox, proxy: AlteringProxy, mirrored: Mirrored
) -> None:
    mirrored.add(sandbox.portal.data, 6)
    proxy.answer = about(mirrored, lambda command: Random(7).shuffle(command.rows))
    (run,) = await gateway.sync(mirrored.name)
    assert run["error"] is None
    assert mirrored.ids(await gateway.rows(mirrored.name)) == [1, 2, 3, 4, 5, 6]


async def test_a_missing_row_is_requested_by_id_before_it_is_marked_deleted(
    gateway: Gateway, sandbox: Sandbox, proxy: AlteringProxy
) -> None:
    before = USERS.identities(await gateway.rows("users"))

    def skip(command: CommandAnswer) -> None:
        if "@ID" not in command.params["FILTER"]:
            command.answer["result"] = [row for row in command.rows if row["ID"] not in ("2", "5")]

    proxy.answer = about(USERS, skip)
    del sandbox.portal.data.users[4]
    (run,) = await gateway.sync("users")
    assert run["error"] is None
    after = USERS.identities(await gateway.rows("users"))
    assert after == {row_id: identity for row_id, identity in before.items() if row_id != 4}
    filters = [[command.params["FILTER"] for command in batch] for batch in proxy.batches[-2:]]
    assert filters == [[{"@ID": {"0": "2", "1": "4", "2": "5"}}], [{"@ID": {"0": "4"}}]]


@pytest.mark.parametrize("seed", range(5))
async def test_users_that_change_between_requests_are_neither_lost_nor_duplicated(
    gateway: Gateway, sandbox: Sandbox, proxy: AlteringProxy, seed: int
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

    proxy.before = disturb
    (run,) = await gateway.sync("users")
    assert run["error"] is None
    ids = USERS.ids(await gateway.rows("users"))
    assert len(ids) == len(set(ids))
    assert set(ids) >= stay & set(data.users)
    assert edits >= 30

    proxy.before = lambda: None
    await gateway.sync("users")
    assert USERS.labels(await gateway.rows("users")) == {row_id: row["NAME"] for row_id, row in data.users.items()}


@pytest.mark.parametrize("mirrored", [STEPS, PIPELINES, FIELDS], ids=lambda one: one.name)
@pytest.mark.parametrize("changes", [2, 3])
async def test_an_offset_list_that_changes_between_pages_is_read_again_or_fails(
    gateway: Gateway, sandbox: Sandbox, proxy: AlteringProxy, mirrored: Mirrored, changes: int
) -> None:
    data = sandbox.portal.data
    mirrored.fill(data, 120)
    if mirrored is not FIELDS:  # the whole list is one answer, which cannot be interrupted
        proxy.before = lambda: mirrored.add(data, 1000 + len(proxy.batches))
        (run,) = await gateway.sync(mirrored.name)
        assert (run["error"], len(await gateway.rows(mirrored.name))) == (None, 121)
        return
    before = await shown(gateway)
    left = iter(range(2 * changes))

    def disturb() -> None:
        if next(left, None) is not None:
            del mirrored.table(data)[min(mirrored.table(data))]

    proxy.before = disturb
    (run,) = await gateway.sync("fields")
    if changes == MAX_PAGE_ATTEMPTS:
        assert run["error"] == f"{FIELDS.method} could not be read beyond id 0: {CHANGED}"
        assert await shown(gateway) == before
    else:
        assert run["error"] is None
        assert FIELDS.ids(await gateway.rows("fields")) == sorted(FIELDS.table(data))


@pytest.mark.parametrize("position", [0, 3, 7], ids=["first", "middle", "last"])
async def test_a_refused_command_does_not_affect_the_rest_of_its_batch(
    gateway: Gateway, sandbox: Sandbox, proxy: AlteringProxy, position: int
) -> None:
    fields = sandbox.portal.data.userfields
    for row_id, table in enumerate(fields.values(), start=50):
        table[row_id] = {**FIELDS.make(row_id), "ENTITY_ID": "CRM_LEAD"}
    await gateway.sync("fields")
    proxy.batches.clear()
    methods: list[str] = []

    def refuse(command: CommandAnswer) -> None:
        if command.position == position and len(proxy.batches) == 0:
            methods.append(command.method)
            command.answer = {"error": REFUSAL}

    proxy.answer = refuse
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
    assert len(proxy.batches) == 1


@pytest.mark.parametrize("position", [0, 6, -1], ids=["first", "middle", "last"])
async def test_only_the_failed_command_of_a_batch_is_repeated(
    gateway: Gateway, sandbox: Sandbox, proxy: AlteringProxy, position: int
) -> None:
    USERS.fill(sandbox.portal.data, 700)
    await gateway.sync("users")
    sizes = [len(batch) for batch in proxy.batches]
    proxy.batches.clear()

    def fail(command: CommandAnswer) -> None:
        if len(proxy.batches) == 1 and command.position == position % sizes[1]:
            command.answer = {"error": FAILURE}

    proxy.answer = fail
    (run,) = await gateway.sync("users")
    assert (run["error"], run["rows"]) == (None, 700)
    assert USERS.ids(await gateway.rows("users")) == list(range(1, 701))
    assert [len(batch) for batch in proxy.batches] == [*sizes[:2], 1, *sizes[2:]]


async def test_a_permanently_failing_command_fails_the_walk_at_its_position(
    gateway: Gateway, sandbox: Sandbox, proxy: AlteringProxy
) -> None:
    USERS.fill(sandbox.portal.data, 700)

    bounds: set[int] = set()

    def fail(command: CommandAnswer) -> None:
        bound = int(command.params["FILTER"][">ID"])
        if bound < 400 <= int(command.params["FILTER"].get("<=ID", 0)):
            bounds.add(bound)
            command.answer = {"error": FAILURE}

    proxy.answer = fail
    (run,) = await gateway.sync("users")
    (bound,) = bounds
    assert run["error"] == f"user.get could not be read beyond id {bound}: INTERNAL_SERVER_ERROR: Later perhaps"
    assert 250 <= run["cursor"] <= bound
    assert USERS.ids(await gateway.rows("users")) == list(range(1, run["cursor"] + 1))
    proxy.answer = lambda _told: None
    await gateway.sync("users")
    assert USERS.ids(await gateway.rows("users")) == list(range(1, 701))


@pytest.mark.usefixtures("proxy")
@pytest.mark.parametrize("fault", ["qle200@1", "qle200*3@1", "qle@1"])
async def test_a_limit_reached_within_a_list_delays_it(gateway: Gateway, sandbox: Sandbox, fault: str) -> None:
    USERS.fill(sandbox.portal.data, 700)
    sandbox.portal.fault(f"batch:{fault}")
    began = gateway.clock.now()
    (run,) = await gateway.sync("users")
    assert (run["error"], run["rows"]) == (None, 700)
    assert USERS.ids(await gateway.rows("users")) == list(range(1, 701))
    assert sandbox.portal.refusals["QUERY_LIMIT_EXCEEDED"] == (3 if "*3" in fault else 1)
    assert gateway.clock.now() - began >= 1


@pytest.mark.usefixtures("proxy")
async def test_lists_that_failed_together_recover_together(gateway: Gateway, sandbox: Sandbox) -> None:
    for mirrored in MIRRORED:
        mirrored.add(sandbox.portal.data, 6)
    sandbox.portal.fault("batch:html200*4")
    for run in await gateway.sync(*RESOURCES):
        assert run["error"] is None
    for mirrored in MIRRORED:
        assert mirrored.ids(await gateway.rows(mirrored.name)) == [1, 2, 3, 4, 5, 6]
