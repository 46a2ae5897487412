"""Random syncs of the mirror, compared with a plain list."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

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
from storage.mirror import MirrorStore
from storage.mirror_changes import BLOCK
from storage.records import Account, MirrorPage, MirrorRow, RowPage
from storage.syncs import SyncStore
from tests.storage.samples import NOW, listed, prefix, row

SUBLISTS = (0, 7)
IDS = 3 * BLOCK // 2


@dataclass
class ModelRow:
    """The expected state of one portal row."""

    row_id: int
    portal_row_id: int
    created_at: int
    text: str
    deleted: bool = False

    @property
    def bytes(self) -> tuple[bytes, bytes]:
        return prefix(self.created_at) % self.row_id, row(self.portal_row_id, self.text)[1]


@dataclass
class ModelList:
    """The expected state of one list, with rows in order of insertion."""

    list_id: int
    generation: int
    rows: dict[tuple[int, int], ModelRow] = field(default_factory=dict)
    missing: set[tuple[int, int]] = field(default_factory=set)

    @property
    def live(self) -> list[ModelRow]:
        return [row for row in self.rows.values() if not row.deleted]


def text_of(portal_row_id: int, version: int) -> str:
    """Return the text of a row at a version. A third of the rows change with each version."""
    return f"{portal_row_id} {version if portal_row_id % 3 == 0 else 0}"


def rendered(ids: list[int], version: int) -> list[MirrorRow]:
    return [row(portal_row_id, text_of(portal_row_id, version)) for portal_row_id in ids]


class MirrorMachine(RuleBasedStateMachine):
    """Syncs two lists page by page at random and compares them with two dicts."""

    @initialize()
    def open(self) -> None:
        self.directory = TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.opened = Database.open(Path(self.directory.name) / "gateway.db")
        self.database = self.runner.run(self.opened.__aenter__())
        self.mirror, self.syncs = MirrorStore(self.database), SyncStore(self.database)
        self.clock = NOW
        self.last_row_id = 0
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
        """Read a range of the portal's list: the ids not divisible by *modulus*, or all of them if it is 1."""
        self.clock += 1
        model = self.lists[index]
        upto = None if width is None else after + width
        ids = [
            portal_row_id
            for portal_row_id in range(after + 1, (IDS if upto is None else upto) + 1)
            if modulus == 1 or portal_row_id % modulus
        ]
        page = RowPage(sublist, rendered(ids, version), after, upto, prefix(self.clock))
        generation = self.runner.run(self.syncs.save_page(model.list_id, page))
        for key, stored in model.rows.items():
            if key[0] == sublist and after < key[1] and (upto is None or key[1] <= upto):
                model.missing.discard(key)
                if not stored.deleted and key[1] not in set(ids):
                    model.missing.add(key)
        self.apply(model, sublist, ids, version, generation)

    @rule(
        index=st.integers(0, 1),
        sublist=st.sampled_from(SUBLISTS),
        modulus=st.integers(1, 5),
        still_there=st.integers(1, 4),
        version=st.integers(0, 3),
    )
    def sync_a_sublist(self, index: int, sublist: int, modulus: int, still_there: int, version: int) -> None:
        """Read a whole sublist and resolve all missing rows."""
        self.read_a_range(index, sublist, -1, None, modulus, version)
        while self.lists[index].missing:
            self.resolve(index, IDS, still_there, version)

    @rule(
        index=st.integers(0, 1),
        limit=st.sampled_from([1, 100, 2 * IDS]),
        still_there=st.integers(1, 4),
        version=st.integers(0, 3),
    )
    def resolve(self, index: int, limit: int, still_there: int, version: int) -> None:
        """Request missing rows by id. Those with ids divisible by *still_there* exist, or none of them if it is 1."""
        self.clock += 1
        model = self.lists[index]
        requested = self.runner.run(self.syncs.load_missing(model.list_id, limit=limit))
        expected = sorted((model.rows[key].row_id, *key) for key in model.missing)
        assert requested == expected[:limit]
        found = {
            sublist: [
                at
                for _, of_sublist, at in requested
                if of_sublist == sublist and at % still_there == 0 and still_there > 1
            ]
            for sublist in SUBLISTS
        }
        pages = [
            RowPage(sublist, rendered(ids, version), None, None, prefix(self.clock)) for sublist, ids in found.items()
        ]
        generation = self.runner.run(self.syncs.resolve_missing(model.list_id, requested, pages, tombstone=None))
        changed = False
        for _, sublist, at in requested:
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
        """End the run and begin another. Only a failed run resumes, with its missing rows."""
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
            stored = model.rows.get((sublist, at))
            if stored is None:
                self.last_row_id += 1
                model.rows[sublist, at] = ModelRow(self.last_row_id, at, self.clock, text_of(at, version))
                changed = True
            elif stored.deleted or stored.text != text_of(at, version):
                stored.deleted, stored.text = False, text_of(at, version)
                changed = True
        self.check_generation(model, changed, generation)

    def check_generation(self, model: ModelList, changed: bool, generation: int) -> None:
        """The generation advances exactly when a page of the list has changed."""
        assert (generation > model.generation) is changed
        assert generation >= model.generation
        model.generation = generation

    @rule(index=st.integers(0, 1), size=st.one_of(st.integers(1, 30), st.integers(1, 3000)), data=st.data())
    def read_a_page(self, index: int, size: int, data: st.DataObject) -> None:
        live = self.lists[index].live
        page = data.draw(st.integers(1, len(live) // size + 2), label="page")
        expected = [row.bytes for row in live[(page - 1) * size : page * size]]
        assert listed(self.page(index, page, size)) == expected

    @rule(index=st.integers(0, 1), portal_row_id=st.integers(0, IDS))
    def look_up_a_row(self, index: int, portal_row_id: int) -> None:
        account, stored = self.accounts[index], self.lists[index].rows.get((0, portal_row_id))
        has_row = self.runner.run(
            self.mirror.has_row(account.account_id, account.portal.portal_id, "users", portal_row_id)
        )
        assert has_row is (stored is not None and not stored.deleted)

    @invariant()
    def counts_and_generations_match_the_rows(self) -> None:
        for index, model in enumerate(self.lists):
            found = self.page(index, 10**18, 10**18)
            assert (found.list_id, found.generation, found.count) == (
                model.list_id,
                model.generation,
                len(model.live),
            )
            assert listed(found) == []

    @invariant()
    def the_last_page_holds_the_last_row(self) -> None:
        for index, model in enumerate(self.lists):
            last = model.live[-1:]
            if last:
                assert listed(self.page(index, len(model.live), 1)) == [last[0].bytes]


def test_pages_counts_and_generations_match_a_plain_list() -> None:
    run_state_machine_as_test(MirrorMachine, settings=settings(max_examples=60, stateful_step_count=20))
