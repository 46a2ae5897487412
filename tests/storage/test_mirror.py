"""Mirrored rows: whatever a portal's lists do, a page is a slice of what a plain list would hold."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Connection
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from storage.accounts import AccountStore
from storage.database import Database
from storage.mirror import BLOCK, MirrorStore
from storage.records import Account, MirrorPage, MirrorRow, Portal
from storage.syncs import SyncStore
from tests.storage.samples import NOW, listed, prefix, row, rows

SUBLISTS = (0, 7)
IDS = 3 * BLOCK // 2


@dataclass
class ModelRow:
    """What the mirror must know of one row of the portal."""

    own_id: int
    portal_row_id: int
    made_at: int
    text: str
    deleted: bool = False

    @property
    def bytes(self) -> tuple[bytes, bytes]:
        return prefix(self.made_at) % self.own_id, row(self.portal_row_id, self.text)[1]


@dataclass
class ModelList:
    """One list of the mirror as a plain dict, in the order in which rows first came."""

    list_id: int
    generation: int
    rows: dict[tuple[int, int], ModelRow] = field(default_factory=dict)
    missing: set[tuple[int, int]] = field(default_factory=set)

    @property
    def live(self) -> list[ModelRow]:
        return [one for one in self.rows.values() if not one.deleted]


def text_of(portal_row_id: int, version: int) -> str:
    """A third of the rows change with every version."""
    return f"{portal_row_id} {version if portal_row_id % 3 == 0 else 0}"


def rendered(ids: list[int], version: int) -> list[MirrorRow]:
    return [row(portal_row_id, text_of(portal_row_id, version)) for portal_row_id in ids]


class Mirror(RuleBasedStateMachine):
    """Two lists in one file, synced page by page at random, against two dicts."""

    @initialize()
    def open(self) -> None:
        self.directory = TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.opened = Database.open(Path(self.directory.name) / "gateway.db")
        self.database = self.runner.run(self.opened.__aenter__())
        self.mirror, self.syncs = MirrorStore(self.database), SyncStore(self.database)
        self.clock = NOW
        self.own_ids = 0
        self.accounts: list[Account] = []
        self.lists: list[ModelList] = []
        for key in ("one", "two"):
            self.accounts.append(
                self.runner.run(
                    AccountStore(self.database).connect(
                        key, host="p.bitrix24.ru", origin="https://p.bitrix24.ru", sealed_webhook=b"x", now=NOW
                    )
                )
            )
            self.lists.append(ModelList(self.begin(len(self.lists)), 1))

    def teardown(self) -> None:
        if hasattr(self, "opened"):
            self.runner.run(self.opened.__aexit__(None, None, None))
            self.runner.close()
            self.directory.cleanup()

    def begin(self, index: int) -> int:
        account = self.accounts[index]
        run = self.runner.run(
            self.syncs.begin(
                account.account_id, account.portal.portal_id, "users", SUBLISTS, now=self.clock, resumable_since=0
            )
        )
        return run.list_id

    def page(self, index: int, page: int, size: int) -> MirrorPage:
        account = self.accounts[index]
        found = self.runner.run(self.mirror.page(account.account_id, account.portal, "users", page=page, size=size))
        assert found is not None
        return found

    @rule(
        index=st.integers(0, 1),
        sublist=st.sampled_from(SUBLISTS),
        after=st.one_of(st.just(-1), st.integers(0, IDS)),
        width=st.one_of(st.none(), st.integers(1, 20), st.integers(1, 2 * BLOCK)),
        modulus=st.integers(1, 5),
        version=st.integers(0, 3),
    )
    def read_a_range(self, index: int, sublist: int, after: int, width: int | None, modulus: int, version: int) -> None:
        """A range of the portal's list is read: all ids that are no multiple of *modulus* (all of them if it is 1)."""
        self.clock += 1
        model = self.lists[index]
        upto = None if width is None else after + width
        ids = [
            portal_row_id
            for portal_row_id in range(after + 1, (IDS if upto is None else upto) + 1)
            if modulus == 1 or portal_row_id % modulus
        ]
        generation = self.runner.run(
            self.syncs.save_page(
                model.list_id,
                sublist,
                rendered(ids, version),
                after=after,
                upto=upto,
                left_out=0,
                prefix=prefix(self.clock),
            )
        )
        for place, known in model.rows.items():
            if place[0] == sublist and after < place[1] and (upto is None or place[1] <= upto):
                model.missing.discard(place)
                if not known.deleted and place[1] not in set(ids):
                    model.missing.add(place)
        self.apply(model, sublist, ids, version, generation)

    @rule(
        index=st.integers(0, 1),
        sublist=st.sampled_from(SUBLISTS),
        modulus=st.integers(1, 5),
        still_there=st.integers(1, 4),
        version=st.integers(0, 3),
    )
    def sync_a_sublist(self, index: int, sublist: int, modulus: int, still_there: int, version: int) -> None:
        """All of a part is read, and all that is missing settled."""
        self.read_a_range(index, sublist, -1, None, modulus, version)
        while self.lists[index].missing:
            self.settle(index, IDS, still_there, version)

    @rule(
        index=st.integers(0, 1),
        limit=st.sampled_from([1, 100, 2 * IDS]),
        still_there=st.integers(1, 4),
        version=st.integers(0, 3),
    )
    def settle(self, index: int, limit: int, still_there: int, version: int) -> None:
        """Some of what was missing is asked for again: what divides by *still_there* is there, the rest is not."""
        self.clock += 1
        model = self.lists[index]
        asked = self.runner.run(self.syncs.load_missing(model.list_id, limit=limit))
        expected = sorted((model.rows[place].own_id, *place) for place in model.missing)
        assert asked == expected[:limit]
        found = {
            sublist: [
                at for _, of_sublist, at in asked if of_sublist == sublist and at % still_there == 0 and still_there > 1
            ]
            for sublist in SUBLISTS
        }
        generation = self.runner.run(
            self.syncs.resolve_missing(
                model.list_id,
                asked,
                {sublist: rendered(ids, version) for sublist, ids in found.items()},
                prefix=prefix(self.clock),
            )
        )
        changed = False
        for _, sublist, at in asked:
            model.missing.discard((sublist, at))
            if at not in found[sublist]:
                model.rows[sublist, at].deleted = changed = True
        for sublist, ids in found.items():
            changed |= any(model.rows[sublist, at].text != text_of(at, version) for at in ids)
            for at in ids:
                model.rows[sublist, at].text = text_of(at, version)
        self.check_generation(model, changed, generation)

    @rule(index=st.integers(0, 1), state=st.sampled_from(["done", "failed"]))
    def end_the_run(self, index: int, state: str) -> None:
        """The run ends, and another begins: only a failed one goes on, with what it missed."""
        model = self.lists[index]
        if state == "done":
            self.runner.run(self.syncs.finish(model.list_id, "done", error=None, now=self.clock))
            model.missing.clear()
        else:
            self.runner.run(self.syncs.finish(model.list_id, "failed", error="portal away", now=self.clock))
        assert self.begin(index) == model.list_id

    def apply(self, model: ModelList, sublist: int, ids: list[int], version: int, generation: int) -> None:
        changed = False
        for at in ids:
            known = model.rows.get((sublist, at))
            if known is None:
                self.own_ids += 1
                model.rows[sublist, at] = ModelRow(self.own_ids, at, self.clock, text_of(at, version))
                changed = True
            elif known.deleted or known.text != text_of(at, version):
                known.deleted, known.text = False, text_of(at, version)
                changed = True
        self.check_generation(model, changed, generation)

    def check_generation(self, model: ModelList, changed: bool, generation: int) -> None:
        """It moves on exactly when some answer made of the rows is another one now."""
        assert (generation > model.generation) is changed
        assert generation >= model.generation
        model.generation = generation

    @rule(index=st.integers(0, 1), size=st.one_of(st.integers(1, 30), st.integers(1, 3000)), data=st.data())
    def read_a_page(self, index: int, size: int, data: st.DataObject) -> None:
        live = self.lists[index].live
        page = data.draw(st.integers(1, len(live) // size + 2), label="page")
        expected = [one.bytes for one in live[(page - 1) * size : page * size]]
        assert listed(self.page(index, page, size)) == expected

    @rule(index=st.integers(0, 1), portal_row_id=st.integers(0, IDS))
    def look_for_a_row(self, index: int, portal_row_id: int) -> None:
        account, known = self.accounts[index], self.lists[index].rows.get((0, portal_row_id))
        there = self.runner.run(
            self.mirror.has_row(account.account_id, account.portal.portal_id, "users", portal_row_id)
        )
        assert there is (known is not None and not known.deleted)

    @invariant()
    def counts_and_generations_are_those_of_the_rows(self) -> None:
        for index, model in enumerate(self.lists):
            found = self.page(index, 10**18, 10**18)
            assert (found.list_id, found.generation, found.count) == (
                model.list_id,
                model.generation,
                len(model.live),
            )
            assert listed(found) == []

    @invariant()
    def the_last_page_is_where_the_list_ends(self) -> None:
        for index, model in enumerate(self.lists):
            last = model.live[-1:]
            if last:
                assert listed(self.page(index, len(model.live), 1)) == [last[0].bytes]


def test_pages_counts_and_generations_are_those_of_a_plain_list() -> None:
    run_state_machine_as_test(Mirror, settings=settings(max_examples=60, stateful_step_count=20, deadline=None))


@pytest.fixture
def mirror(database: Database) -> MirrorStore:
    return MirrorStore(database)


@pytest.fixture
def syncs(database: Database) -> SyncStore:
    return SyncStore(database)


async def fill(syncs: SyncStore, account: Account, count: int, resource: str = "users") -> int:
    """The list_id of *account*'s list, filled with the portal's rows 1 to *count*."""
    run = await syncs.begin(
        account.account_id, account.portal.portal_id, resource, [0], now=NOW, resumable_since=NOW - 3600
    )
    await syncs.save_page(run.list_id, 0, rows(range(1, count + 1)), after=0, upto=None, left_out=0, prefix=prefix(NOW))
    return run.list_id


class Steps:
    """Counts the steps of SQLite's machine that gathered reads take."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._count = 0

    async def watch(self) -> None:
        await self._database.read_batched(self._install)

    def _install(self, connection: Connection) -> None:
        connection.set_progress_handler(self._step, 10)

    def _step(self) -> int:
        self._count += 10
        return 0

    def take(self) -> int:
        taken, self._count = self._count, 0
        return taken


async def test_a_deep_page_costs_what_the_first_one_costs_also_among_many_deleted_rows(
    database: Database, mirror: MirrorStore, syncs: SyncStore, acme: Account
) -> None:
    count = 16 * BLOCK
    list_id = await fill(syncs, acme, count)
    kept = [at for at in range(1, count + 1) if at % 8 == 0]
    await syncs.save_page(list_id, 0, rows(kept), after=0, upto=None, left_out=0, prefix=prefix(NOW))
    asked = await syncs.load_missing(list_id, limit=count)
    await syncs.resolve_missing(list_id, asked, {}, prefix=prefix(NOW))
    steps = Steps(database)
    await steps.watch()
    key = (acme.account_id, acme.portal, "users")
    steps.take()
    first = await mirror.page(*key, page=1, size=25)
    cost_of_first = steps.take()
    costs = []
    for page in range(2, len(kept) // 25 + 1, 7):
        found = await mirror.page(*key, page=page, size=25)
        costs.append(steps.take())
        assert found is not None
        assert [one[1] for one in listed(found)] == [row(at)[1] for at in kept[(page - 1) * 25 : page * 25]]
    assert first is not None
    assert (first.count, len(listed(first))) == (len(kept), 25)
    assert max(costs) < 5 * cost_of_first


async def test_lists_of_accounts_resources_and_portals_do_not_mix(
    accounts: AccountStore, mirror: MirrorStore, syncs: SyncStore, acme: Account
) -> None:
    rival = await accounts.connect(
        "rival", host="acme.bitrix24.ru", origin="https://acme.bitrix24.ru", sealed_webhook=b"x", now=NOW
    )
    await fill(syncs, acme, 3)
    await fill(syncs, rival, 5)
    await fill(syncs, acme, 7, resource="steps")

    async def count(account_id: int, portal_id: int, resource: str) -> int | None:
        found = await mirror.page(account_id, Portal(portal_id, "a host", None), resource, page=1, size=100)
        return None if found is None else found.count

    portal_id = acme.portal.portal_id
    assert await count(acme.account_id, portal_id, "users") == 3
    assert await count(rival.account_id, portal_id, "users") == 5
    assert await count(acme.account_id, portal_id, "steps") == 7
    assert await count(rival.account_id, portal_id, "steps") is None
    assert await count(acme.account_id, portal_id + 1, "users") is None
    assert not await mirror.has_row(acme.account_id, portal_id, "users", 4)
    assert await mirror.has_row(rival.account_id, portal_id, "users", 4)


def corners() -> Iterator[tuple[int, int]]:
    """Pages and sizes that begin or end at the edge of a block, and beyond the list."""
    for size in (1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1, 10**18):
        for page in (1, 2, 3, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1, 10**18):
            yield page, size


async def test_pages_at_the_edges_of_blocks_are_slices(mirror: MirrorStore, syncs: SyncStore, acme: Account) -> None:
    count = 2 * BLOCK
    await fill(syncs, acme, count)
    tails = [row(at)[1] for at in range(1, count + 1)]
    for page, size in corners():
        found = await mirror.page(acme.account_id, acme.portal, "users", page=page, size=size)
        assert found is not None
        assert [suffix for _, suffix in listed(found)] == tails[(page - 1) * size : page * size], (page, size)


async def test_a_list_whose_rows_are_all_deleted_is_empty_and_each_returns_under_its_id(
    mirror: MirrorStore, syncs: SyncStore, acme: Account
) -> None:
    list_id = await fill(syncs, acme, BLOCK + 1)
    key = (acme.account_id, acme.portal, "users")
    before = await mirror.page(*key, page=1, size=2 * BLOCK)
    await syncs.save_page(list_id, 0, [], after=0, upto=None, left_out=0, prefix=prefix(NOW + 1))
    asked = await syncs.load_missing(list_id, limit=2 * BLOCK)
    await syncs.resolve_missing(list_id, asked, {}, prefix=prefix(NOW + 1))
    empty = await mirror.page(*key, page=1, size=10)
    assert empty is not None
    assert (empty.count, listed(empty)) == (0, [])
    await syncs.save_page(list_id, 0, rows(range(1, BLOCK + 2)), after=0, upto=None, left_out=0, prefix=prefix(NOW + 2))
    after = await mirror.page(*key, page=1, size=2 * BLOCK)
    assert before is not None
    assert after is not None
    assert listed(after) == listed(before)


async def test_rows_that_did_not_change_are_not_written(database: Database, syncs: SyncStore, acme: Account) -> None:
    def written(connection: Connection) -> int:
        return connection.total_changes

    list_id = await fill(syncs, acme, 500)
    before = await database.write(written)
    generation = await syncs.save_page(
        list_id, 0, rows(range(1, 501)), after=0, upto=None, left_out=0, prefix=prefix(NOW)
    )
    assert await database.write(written) - before == 2  # the run's place and its count of rows read
    changed = [*rows(range(1, 500)), row(500, "another")]
    assert (
        await syncs.save_page(list_id, 0, changed, after=0, upto=None, left_out=0, prefix=prefix(NOW)) == generation + 1
    )
    assert await database.write(written) - before == 2 + 2 + 2  # and the row, and the list's generation
