"""What the name and the arguments of a call tell about its method."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.protocol.method_kind import READ_VERBS, is_safe_to_repeat, takes_arguments_by_position

TAKE = "event.offline.get"
PROCESS = {"process_id": "7d6b8d0f6f9b3f3d"}
CASES = st.sampled_from([str.lower, str.upper, str.title])
VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers(), max_size=2)


@pytest.mark.parametrize(
    "method",
    [
        "crm.deal.list", "crm.deal.get", "CRM.Deal.GetList", "profile", "scope", "user.current", "server.time",
        "main.eventlog.tail", "rest.documentation.openapi", "event.get", "event.offline.list", "im.chat.get",
        "im.dialog.messages.get", "im.notify.get", "imopenlines.dialog.get", "user.option.get", "im.v2.Event.get",
    ],
)  # fmt: skip
def test_a_read_is_safe_to_repeat(method: str) -> None:
    assert is_safe_to_repeat(method, {"clear": 1})


@pytest.mark.parametrize(
    "method",
    [
        "crm.deal.add", "crm.deal.update", "crm.dealcategory.default.set", "event.bind", "event.test", "something.new",
        "event.offline.clear", "event.offline.error", "im.notify.read", "im.notify.read.list", "IM.Notify.Read.List",
        "im.dialog.read", "im.dialog.read.all", "imopenlines.session.open", "timeman.open", "disk.storage.getForApp",
        "disk.file.getExternalLink", "telephony.externalCall.register", "user.option.set", "batch", "listing",
    ],
)  # fmt: skip
def test_a_write_or_an_unknown_method_is_not_safe_to_repeat(method: str) -> None:
    assert not is_safe_to_repeat(method, PROCESS)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"clear": 0},
        {"CLEAR": "0"},
        {"process_id": None},
        {"process_id": ""},
        {"process_id": " ", "clear": 0},
        {"process_id": "$result[first][process_id]"},
        {**PROCESS, "Process_ID": None},
        {**PROCESS, "clear": 1},
        {**PROCESS, "CLEAR": "1"},
        {**PROCESS, "clear": True},
        {**PROCESS, "clear": " 01"},
        {**PROCESS, "clear": "-2"},
        {**PROCESS, "clear": "1x"},
        {**PROCESS, "clear": "$result[first][0]"},
        {**PROCESS, "clear": 0, "Clear": 1},
    ],
)
def test_taking_events_from_the_queue_is_not_safe_to_repeat(params: dict[str, object]) -> None:
    assert not is_safe_to_repeat(TAKE, params)
    assert not is_safe_to_repeat(TAKE.title(), params)


@pytest.mark.parametrize("clear", [None, 0, False, "0", "00", "", "N", "-0", "0.5", []])
def test_reading_the_reserved_events_of_a_process_is_safe_to_repeat(clear: object) -> None:
    assert is_safe_to_repeat(TAKE, PROCESS)
    assert is_safe_to_repeat(TAKE.upper(), {"PROCESS_ID": "p-1", "CLEAR": clear, "limit": 10})


def test_a_list_of_arguments_names_no_process() -> None:
    assert not is_safe_to_repeat(TAKE, ["p-1"])
    assert is_safe_to_repeat("task.item.getlist", [{"ID": "asc"}])


@given(
    st.dictionaries(st.text(max_size=5) | st.sampled_from(["process_id", "clear"]), VALUES, max_size=4), CASES, CASES
)
def test_letter_case_makes_no_difference(params: dict[str, object], of_method: object, of_names: object) -> None:
    assert callable(of_method)
    assert callable(of_names)
    recased = {of_names(name): value for name, value in params.items()}
    if len({name.lower() for name in params}) == len(recased):
        assert is_safe_to_repeat(of_method(TAKE), recased) == is_safe_to_repeat(TAKE, params)


@given(st.sampled_from(sorted(READ_VERBS)), CASES)
def test_only_the_last_part_of_a_name_can_be_a_read_verb(word: str, case: object) -> None:
    assert callable(case)
    assert is_safe_to_repeat(case(f"crm.deal.{word}"), {})
    assert not is_safe_to_repeat(case(f"crm.{word}.add"), {})


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("task.item.add", True),
        ("Task.CommentItem.GetList", True),
        ("task.checklistitem.complete", True),
        ("tasks_extended.meta.setAnyStatus", True),
        ("tasks.task.get", False),
        ("task", False),
        ("crm.task.item.add", False),
        ("crm.deal.list", False),
    ],
)
def test_the_old_task_methods_take_arguments_by_position(method: str, expected: bool) -> None:
    assert takes_arguments_by_position(method) is expected
