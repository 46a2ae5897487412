"""The first rows of a list: exactly those, in few requests, whatever the portal answers."""

import math
from collections.abc import Mapping, Sequence
from random import Random

import pytest

from gateway.bitrix.errors import AccessDenied, AnswerTooLarge, PortalBroken, PortalError, PortalFailing
from gateway.bitrix.lists.first_rows import read_first_rows
from gateway.bitrix.lists.page import ListCall
from gateway.bitrix.protocol.v2 import Answer, Command
from tests.bitrix.lists.memory_portal import MemoryPortal
from tests.bitrix.lists.walks import clusters

USERS = ListCall("user.get")
SPARSE = clusters(3000, 0.9, Random(1))


class CalledPortal(MemoryPortal):
    """A portal that a caller waits for: no call may wait for an operating budget without limit."""

    async def batch(self, commands: Sequence[Command], *, wait_for_budget: bool = True) -> list[Answer | PortalError]:
        assert not wait_for_budget
        return await super().batch(commands)

    async def batch_once(self, commands: Mapping[str, Command], *, halt: bool) -> dict[str, Answer | PortalError]:
        assert not halt
        return dict(zip(commands, await self.attempt(list(commands.values()), lambda _waited_s: None), strict=True))


async def first_ids(portal: CalledPortal, limit: int, after: int = 0) -> list[int]:
    rows = await read_first_rows(portal, USERS, after=after, limit=limit)
    assert [row["ID"] for _, row in rows] == [str(row_id) for row_id, _ in rows]
    return [row_id for row_id, _ in rows]


@pytest.mark.parametrize("rows", [0, 1, 49, 50, 51, 99, 100, 101, 149, 150, 151, 1000, 1001, 1051, 3000])
@pytest.mark.parametrize("limit", [1, 50, 51, 101, 1001])
async def test_exactly_the_first_rows_are_read(rows: int, limit: int) -> None:
    for ids in (range(1, rows + 1), SPARSE[:rows]):
        portal = CalledPortal(ids)
        assert await first_ids(portal, limit) == portal.ids[:limit]
        after = portal.ids[rows // 2] if rows else 5
        assert await first_ids(portal, limit, after) == portal.ids[rows // 2 + 1 :][:limit]


async def test_a_thousand_rows_take_two_requests_and_at_most_one_needless_command() -> None:
    portal = CalledPortal(range(1, 3001))
    await first_ids(portal, 1001)
    assert (portal.requests, portal.commands) == (2, 2 + 20)
    short = CalledPortal(range(1, 31))
    await first_ids(short, 1001)
    assert (short.requests, short.commands) == (1, 2)
    medium = CalledPortal(range(1, 201))
    await first_ids(medium, 1001)
    assert (medium.requests, medium.commands) == (2, 2 + 3 + 1)


class WithoutReferences(CalledPortal):
    """Resolves no references: a command that should start after a row starts at the beginning of the list."""

    def _resolved(self, bound: int | str) -> int:
        return bound if isinstance(bound, int) else 1


async def test_without_references_each_request_reads_a_page() -> None:
    portal = WithoutReferences(SPARSE)
    assert await first_ids(portal, 1001) == SPARSE[:1001]
    assert portal.requests == math.ceil(1001 / 50)


async def test_pages_that_are_too_large_together_are_read_one_by_one() -> None:
    def broken(_number: int, commands: Sequence[Command]) -> PortalError | None:
        return AnswerTooLarge("1 MB") if len(commands) > 2 else None

    portal = CalledPortal(SPARSE, broken=broken)
    assert await first_ids(portal, 1001) == SPARSE[:1001]


@pytest.mark.parametrize("failing", range(2, 22))
async def test_a_chain_goes_on_where_a_command_failed(failing: int) -> None:
    portal = CalledPortal(
        range(1, 3001), outcome=lambda number, _command: PortalFailing("X") if number == failing else None
    )
    assert await first_ids(portal, 1001) == portal.ids[:1001]
    assert portal.requests <= 22


@pytest.mark.parametrize("refused_from", [0, 1, 2, 10])
async def test_what_the_portal_refuses_is_an_error(refused_from: int) -> None:
    portal = CalledPortal(
        range(1, 3001),
        outcome=lambda number, _command: AccessDenied("ACCESS_DENIED") if number >= refused_from else None,
    )
    with pytest.raises(AccessDenied):
        await first_ids(portal, 1001)


@pytest.mark.parametrize("answer", [Answer([{"ID": "7"}, {"ID": "5"}]), Answer({"a": {"ID": "9000"}})])
@pytest.mark.parametrize("number", [0, 1, 2])
async def test_a_page_that_fails_its_check_is_read_again_and_is_then_an_error(answer: Answer, number: int) -> None:
    def once(at: int, _command: Command) -> Answer | None:
        return answer if at == number else None

    portal = CalledPortal(range(1, 201), outcome=once)
    assert await first_ids(portal, 101) == portal.ids[:101]
    portal = CalledPortal(range(1, 201), outcome=lambda at, _command: answer if at >= number else None)
    with pytest.raises(PortalBroken):
        await first_ids(portal, 101)
    assert portal.requests <= 5


class SmallPages(CalledPortal):
    """Gives pages of 20 rows."""

    def _answer(self, command: Command) -> Answer | PortalError:
        answer = super()._answer(command)
        assert isinstance(answer, Answer)
        assert isinstance(answer.result, list)
        return Answer(answer.result[:20], total=answer.total)


async def test_smaller_pages_are_not_taken_for_the_end() -> None:
    with pytest.raises(PortalBroken, match="pages of 20 rows"):
        await first_ids(SmallPages(range(1, 201)), 101)


async def test_rows_that_are_deleted_meanwhile_end_the_list() -> None:
    portal = CalledPortal(range(1, 201), before=lambda number: portal.remove(*range(51, 201)) if number == 2 else None)
    assert await first_ids(portal, 151) == list(range(1, 51))
