"""Values that callers write are converted by the type of the field, or refused with the rule that they break."""

from typing import Any

import pytest

from gateway.bitrix.lists.list_fields import Field
from gateway.crm.bodies import check_written
from gateway.crm.multifields import MultiValue, added, changes, parse_values
from gateway.crm.values import MONEY_RULE, portal_value
from gateway.errors import InvalidInput
from gateway.mirror.filter_values import CALENDAR_RULE, DATE_RULE

USERS = {"anna@example.com": (7,), "office@example.com": (1, 5)}
CHOICES = (("1", "Белый"), ("2", "Чёрный"), ("3", "чёрный"))


def field(kind: str, *, multiple: bool = False, **further: Any) -> Field:
    return Field("F", kind, multiple, **further)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "a[b] 🧩 שלום", "a[b] 🧩 שלום"),
        ("string", "", ""),
        ("crm_status", "NEW", "NEW"),
        ("integer", 5, 5),
        ("integer", "-5", -5),
        ("user", "7", 7),
        ("user", "Anna@Example.com", 7),
        ("employee", "anna@example.com", 7),
        ("crm_contact", 3, 3),
        ("double", 1.5, 1.5),
        ("double", 1000, 1000),
        ("double", "12.50", "12.50"),
        ("char", True, "Y"),
        ("char", "N", "N"),
        ("char", "S", "S"),
        ("boolean", 0, "N"),
        ("boolean", "1", "Y"),
        ("date", "2026-11-28", "2026-11-28"),
        ("date", "2026-11-28T23:00:00+03:00", "2026-11-28"),
        ("datetime", "2026-11-28", "2026-11-28T00:00:00"),
        ("datetime", "2026-11-28t10:00:00z", "2026-11-28T10:00:00+00:00"),
        ("datetime", "2026-11-28 10:00", "2026-11-28T10:00:00"),
        ("datetime", "2026-11-28T10:00:00.5-08:00", "2026-11-28T10:00:00-08:00"),
        ("money", "1000|RUB", "1000|RUB"),
        ("money", {"amount": 10.5, "currency": "USD"}, "10.5|USD"),
        ("enumeration", 2, "2"),
        ("enumeration", "БЕЛЫЙ", "1"),
        ("string", None, ""),
        ("date", None, ""),
    ],
)
def test_a_value_gets_the_form_of_the_portal(kind: str, value: object, expected: object) -> None:
    assert portal_value(value, field(kind, choices=CHOICES), USERS) == expected
    if value is not None:
        assert portal_value([value], field(kind, multiple=True, choices=CHOICES), USERS) == [expected]


@pytest.mark.parametrize(
    ("kind", "values", "rule"),
    [
        ("string", [1, True, 1.5, [], ["x"], {}], "must be a text"),
        ("integer", ["x", 1.5, True, [], {}, "1e3", "9" * 19, ""], "must be an integer"),
        ("double", ["x", True, [], {}, "1e3", "", "NaN"], "must be a number"),
        ("boolean", ["yes", 2, [], {}, "", 1.5], "must be true or false (or Y or N, 1 or 0)"),
        ("char", ["yes", 2, [], {}, ""], "must be true or false (or Y or N, 1 or 0)"),
        ("date", ["soon", 5, True, [], {}, "28.11.2026", ""], DATE_RULE),
        ("datetime", ["soon", 5, True, [], {}, "2026-11-28T10", ""], DATE_RULE),
        ("date", ["2026-02-30"], CALENDAR_RULE),
        ("datetime", ["2026-11-28T25:00:00Z"], CALENDAR_RULE),
        ("money", [5, "5", "5|rub", {"amount": 5}, {"amount": True, "currency": "RUB"}, [], ""], MONEY_RULE),
        ("enumeration", [True, [], {}, 1.5], "must be the id or the text of a choice"),
        ("enumeration", ["red"], "must be the id or the text of a choice: 1 (Белый), 2 (Чёрный), 3 (чёрный)"),
        ("enumeration", ["ЧЁРНЫЙ"], "is the text of several choices: use one of the ids 2, 3"),
        ("user", ["Анна", 1.5, True, [], {}, ""], "must be an integer"),
        ("user", ["@", "who@example.com"], "must be the id or the e-mail of a user: no user has this e-mail"),
        ("employee", ["Office@example.com"], "is the e-mail of several users: use one of the ids 1, 5"),
        ("file", ["x", [], {}, None], "is a file, which cannot be written as JSON"),
    ],
)
def test_a_wrong_value_is_refused_with_its_rule(kind: str, values: list[object], rule: str) -> None:
    for value in values:
        with pytest.raises(ValueError) as caught:
            portal_value(value, field(kind, choices=CHOICES), USERS)
        assert str(caught.value) == rule


def test_a_field_of_several_values_takes_a_list() -> None:
    several = field("string", multiple=True)
    assert portal_value(None, several, USERS) == portal_value([], several, USERS) == []
    with pytest.raises(ValueError, match="must be a list, as the field has several values"):
        portal_value("x", several, USERS)


FIELDS = {
    "TITLE": Field("TITLE", "string"),
    "OPPORTUNITY": Field("OPPORTUNITY", "double"),
    "ID": Field("ID", "integer", read_only=True),
    "CATEGORY_ID": Field("CATEGORY_ID", "crm_category", immutable=True),
    "PHONE": Field("PHONE", "crm_multifield", multiple=True),
}


def test_all_mistakes_are_reported_at_once_with_their_places() -> None:
    body = {
        "TITEL": "x",
        "title": "x",
        "a/b[c]~": 1,
        "__proto__": {},
        "ID": 5,
        "syncedAt": "now",
        "OPPORTUNITY": "much",
        "PHONE": ["+7", {"VALUE": ""}, 5],
        "TITLE": "right",
    }
    with pytest.raises(InvalidInput) as caught:
        check_written(body, FIELDS, USERS, creates=True)
    assert [(error.pointer, error.code) for error in caught.value.errors] == [
        ("/TITEL", "unknown_field"),
        ("/title", "unknown_field"),
        ("/a~1b[c]~0", "unknown_field"),
        ("/__proto__", "unknown_field"),
        ("/ID", "read_only"),
        ("/syncedAt", "read_only"),
        ("/OPPORTUNITY", "invalid_value"),
        ("/PHONE/1", "invalid_value"),
        ("/PHONE/2", "invalid_value"),
    ]
    assert caught.value.errors[0].detail == "unknown field 'TITEL'; did you mean 'TITLE'?"


def test_an_immutable_field_is_only_set_at_creation() -> None:
    assert check_written({"CATEGORY_ID": 7}, FIELDS, USERS, creates=True).values == {"CATEGORY_ID": 7}
    with pytest.raises(InvalidInput, match="CATEGORY_ID: can only be set when the record is created"):
        check_written({"CATEGORY_ID": 7}, FIELDS, USERS, creates=False)


@pytest.mark.parametrize(
    ("sent", "values"),
    [
        (None, []),
        ([], []),
        ("+7", [MultiValue("+7")]),
        (["+7", "8"], [MultiValue("+7"), MultiValue("8")]),
        ([{"VALUE": "+7", "VALUE_TYPE": "HOME", "ID": 5, "TYPE_ID": "PHONE"}], [MultiValue("+7", "HOME", "5")]),
    ],
)
def test_a_multifield_is_a_text_or_a_list(sent: object, values: list[MultiValue]) -> None:
    assert parse_values("PHONE", sent) == (values, [])


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        (5, "/PHONE"),
        ("", "/PHONE"),
        ({"VALUE": 5}, "/PHONE"),
        ([{"VALUE": "5", "VALUE_TYPE": 5}], "/PHONE/0"),
        ([{"VALUE": "5", "ID": True}], "/PHONE/0"),
        ([{"VALUE": "5", "TYPE": "WORK"}], "/PHONE/0"),
        (["1", []], "/PHONE/1"),
    ],
)
def test_a_wrong_value_of_a_multifield_is_refused(sent: object, pointer: str) -> None:
    _, errors = parse_values("PHONE", sent)
    assert [(error.pointer, error.code) for error in errors] == [(pointer, "invalid_value")]


def row(value_id: int, value: str, kind: str = "WORK") -> dict[str, str]:
    return {"ID": str(value_id), "VALUE": value, "VALUE_TYPE": kind, "TYPE_ID": "PHONE"}


@pytest.mark.parametrize(
    ("current", "wanted", "sent"),
    [
        ([], [MultiValue("1")], [{"VALUE": "1", "VALUE_TYPE": "WORK"}]),
        ([row(5, "1")], [MultiValue("1")], []),
        ([row(5, "1", "HOME")], [MultiValue("1")], []),
        ([row(5, "1")], [MultiValue("1", "HOME")], [{"ID": "5", "VALUE": "1", "VALUE_TYPE": "HOME"}]),
        ([row(5, "1")], [MultiValue("2", None, "5")], [{"ID": "5", "VALUE": "2", "VALUE_TYPE": "WORK"}]),
        ([row(5, "1"), row(6, "2")], [MultiValue("2")], [{"ID": "5", "DELETE": "Y"}]),
        ([row(5, "1"), row(6, "1", "HOME")], [MultiValue("1", "HOME")], [{"ID": "5", "DELETE": "Y"}]),
        ([row(5, "1")], [], [{"ID": "5", "DELETE": "Y"}]),
        (
            [row(5, "1")],
            [MultiValue("2", "FAX")],
            [{"ID": "5", "DELETE": "Y"}, {"VALUE": "2", "VALUE_TYPE": "FAX"}],
        ),
    ],
)
def test_values_that_stay_keep_their_ids(
    current: list[dict[str, str]], wanted: list[MultiValue], sent: list[dict[str, str]]
) -> None:
    assert changes(current, wanted) == sent
    assert current or added(wanted) == sent
