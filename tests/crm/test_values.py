"""Values that callers write are converted by the type of the field, or refused with the rule that they break."""

from typing import Any

import pytest

from gateway.bitrix.lists.list_fields import Field
from gateway.crm.bodies import check_written
from gateway.crm.choices import Ambiguous, Choices
from gateway.crm.multifields import MultiValue, added, changes, parse_values
from gateway.crm.numbers import AMOUNT_RULE
from gateway.crm.values import (
    CURRENCIES,
    CURRENCY_RULE,
    MAX_SUGGESTIONS,
    MONEY_RULE,
    REFERENCE_RULE,
    USER_RULE,
    KnownValues,
    portal_value,
)
from gateway.errors import FieldError, InvalidInput
from gateway.mirror.filter_values import CALENDAR_RULE, DATE_RULE

USERS = {"anna@example.com": (7,), "office@example.com": (1, 5)}
CHOICES = (("1", "Белый"), ("2", "Чёрный"), ("3", "чёрный"))
SOURCES = Choices({"CALL": "Звонок", "WEB": "Сайт", "WEB2": "сайт", "7": "Seven"})
VALUES = KnownValues(USERS, {"SOURCE": SOURCES, CURRENCIES: Choices({"RUB": "Рубль", "USD": "Доллар"})})


def field(kind: str, *, multiple: bool = False) -> Field:
    return Field("F", kind, multiple, choices=CHOICES, directory="SOURCE")


def convert(value: object, known: Field) -> Any:
    """The value in the portal's form, if it is right."""
    errors: list[FieldError] = []
    converted = portal_value(value, known, VALUES, "/F", errors)
    assert errors == []
    return converted


def mistakes(value: object, known: Field) -> list[FieldError]:
    errors: list[FieldError] = []
    portal_value(value, known, VALUES, "/F", errors)
    return errors


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "a[b] 🧩 שלום", "a[b] 🧩 שלום"),
        ("string", "", ""),
        ("crm_status", "WEB", "WEB"),
        ("crm_status", "звонок", "CALL"),
        ("crm_status", "web2", "WEB2"),
        ("crm_status", 7, "7"),
        ("crm_status", "", ""),
        ("crm_currency", "USD", "USD"),
        ("crm_currency", "доллар", "USD"),
        ("crm_currency", "usd", "USD"),
        ("integer", 5, 5),
        ("integer", "-5", -5),
        ("user", "7", 7),
        ("user", "Anna@Example.com", 7),
        ("employee", "anna@example.com", 7),
        ("crm_contact", 3, 3),
        ("double", 1.5, 1.5),
        ("double", 1000, 1000),
        ("double", "12.50", "12.50"),
        ("double", "-999999999999999.99", "-999999999999999.99"),
        ("integer", 2**63 - 1, 2**63 - 1),
        ("integer", f"{-(2**63)}", -(2**63)),
        ("char", True, "Y"),
        ("char", "N", "N"),
        ("boolean", 0, "N"),
        ("boolean", "1", "Y"),
        ("date", "2026-11-28", "2026-11-28"),
        ("date", "2026-11-28T23:00:00+03:00", "2026-11-28"),
        ("datetime", "2026-11-28", "2026-11-28T00:00:00"),
        ("datetime", "2026-11-28t10:00:00z", "2026-11-28T10:00:00+00:00"),
        ("datetime", "2026-11-28 10:00", "2026-11-28T10:00:00"),
        ("datetime", "2026-11-28T10:00:00.5-08:00", "2026-11-28T10:00:00-08:00"),
        ("money", "1000|RUB", "1000|RUB"),
        ("money", "1000|rub", "1000|RUB"),
        ("money", {"amount": 5, "currency": "доллар"}, "5|USD"),
        ("datetime", "9999-12-31T09:59:59Z", "9999-12-31T09:59:59+00:00"),
        ("money", {"amount": 10.5, "currency": "USD"}, "10.5|USD"),
        ("enumeration", 2, "2"),
        ("enumeration", "БЕЛЫЙ", "1"),
        ("string", None, ""),
        ("date", None, ""),
    ],
)
def test_a_value_gets_the_form_of_the_portal(kind: str, value: object, expected: object) -> None:
    assert convert(value, field(kind)) == expected
    if value is not None:
        assert convert([value], field(kind, multiple=True)) == [expected]


@pytest.mark.parametrize(
    ("kind", "values", "rule"),
    [
        ("string", [1, True, 1.5, [], ["x"], {}], "must be a text"),
        (
            "integer",
            ["x", 1.5, True, [], {}, "1e3", "9" * 19, "", 2.0**64, 2**63, -(2**63) - 1, f"{2**63}"],
            "must be an integer from -9223372036854775808 to 9223372036854775807",
        ),
        ("double", ["x", True, [], {}, "1e3", "", "NaN"], "must be a number"),
        ("double", [1e308, -1e15, 10**15, "1000000000000000", "-9" + "0" * 17], AMOUNT_RULE),
        ("boolean", ["yes", 2, [], {}, "", 1.5], "must be true or false (or Y or N, 1 or 0)"),
        ("char", ["yes", "S", 2, [], {}, ""], "must be true or false (or Y or N, 1 or 0)"),
        ("date", ["soon", 5, True, [], {}, "28.11.2026", ""], DATE_RULE),
        ("datetime", ["soon", 5, True, [], {}, "2026-11-28T10", ""], DATE_RULE),
        ("date", ["2026-02-30"], CALENDAR_RULE),
        ("datetime", ["2026-11-28T25:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"], CALENDAR_RULE),
        (
            "money",
            [
                5,
                "5",
                "5|",
                "5|R|B",
                {"amount": 1e20, "currency": "RUB"},
                {"amount": 5},
                {"amount": True, "currency": "RUB"},
                [],
                "",
            ],
            MONEY_RULE,
        ),
        ("enumeration", [True, [], {}, 1.5], "must be the id or the text of a choice"),
        ("enumeration", ["red"], "must be the id or the text of a choice: 1 (Белый), 2 (Чёрный), 3 (чёрный)"),
        ("enumeration", ["ЧЁРНЫЙ"], "is the text of several choices: use one of the ids 2, 3"),
        ("crm_status", [True, [], {}, 1.5], "must be the id or the text of a choice"),
        (
            "crm_status",
            ["calls", "NEW", "0"],
            "must be the id or the text of a choice: CALL (Звонок), WEB (Сайт), WEB2 (сайт), 7 (Seven)",
        ),
        ("crm_status", ["САЙТ"], "is the text of several choices: use one of the ids WEB, WEB2"),
        ("crm_currency", ["rubl", "EUR"], "must be the id or the text of a choice: RUB (Рубль), USD (Доллар)"),
        ("money", ["5|EUR", {"amount": 5, "currency": "EUR"}], f"{CURRENCY_RULE}: RUB (Рубль), USD (Доллар)"),
        ("crm_contact", ["x", 1.5, True, [], {}, "", 0, "0", -5, "-5", 2**63], REFERENCE_RULE),
        ("user", ["Анна", 1.5, True, [], {}, "", 0, "0", -5], USER_RULE),
        ("user", ["@", "who@example.com"], "must be the id or the e-mail of a user: no user has this e-mail"),
        ("employee", ["Office@example.com"], "is the e-mail of several users: use one of the ids 1, 5"),
        ("file", ["x", [], {}, None], "is a file, which cannot be written as JSON"),
    ],
)
def test_a_wrong_value_is_refused_with_its_rule(kind: str, values: list[object], rule: str) -> None:
    for value in values:
        assert [(error.pointer, error.detail) for error in mistakes(value, field(kind))] == [("/F", rule)]


def test_a_field_of_several_values_takes_a_list() -> None:
    several = field("string", multiple=True)
    assert convert(None, several) == convert([], several) == []
    (error,) = mistakes("x", several)
    assert (error.pointer, error.detail) == ("/F", "must be a list, as the field has several values")


def test_each_wrong_value_of_a_list_is_told_with_its_place() -> None:
    found = mistakes(["Белый", "red", "ЧЁРНЫЙ", 2, None], field("enumeration", multiple=True))
    assert [(error.pointer, error.code) for error in found] == [
        ("/F/1", "invalid_value"),
        ("/F/2", "ambiguous_value"),
        ("/F/4", "invalid_value"),
    ]


def test_of_many_choices_the_nearest_one_is_suggested_to_the_first_mistakes() -> None:
    many = Field(
        "F", "enumeration", multiple=True, choices=tuple((str(number), f"Town {number}") for number in range(99))
    )
    found = mistakes(["Towm 57"] * 50, many)
    assert found[0].detail.endswith("9 (Town 9) and others; did you mean 'Town 57'?")
    assert sum("did you mean" in error.detail for error in found) == MAX_SUGGESTIONS


def test_a_custom_number_may_have_any_size() -> None:
    assert convert(1e308, Field("UF_CRM_1", "double")) == 1e308


@pytest.mark.parametrize(("value", "shared"), [("call", "id, but for the case,"), ("SAME", "text")])
def test_choices_that_are_the_same_but_for_the_case_are_ambiguous(value: str, shared: str) -> None:
    choices = Choices({"CALL": "Same", "Call": "same"})
    assert choices.find("Call") == "Call"
    with pytest.raises(Ambiguous, match=f"^is the {shared} of several choices: use one of the ids CALL, Call$"):
        choices.find(value)


def test_a_directory_that_is_not_known_takes_any_text() -> None:
    assert convert("NEW", Field("F", "crm_status", directory="OTHER")) == "NEW"


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
        check_written(body, FIELDS, VALUES, creates=True)
    assert [(error.pointer, error.code) for error in caught.value.errors] == [
        ("/TITEL", "unknown_field"),
        ("/title", "unknown_field"),
        ("/a~1b[c]~0", "unknown_field"),
        ("/__proto__", "unknown_field"),
        ("/ID", "read_only"),
        ("/syncedAt", "read_only"),
        ("/OPPORTUNITY", "invalid_value"),
        ("/PHONE/1/VALUE", "invalid_value"),
        ("/PHONE/2", "invalid_value"),
    ]
    assert caught.value.errors[0].detail == "unknown field 'TITEL'; did you mean 'TITLE'?"


def test_an_immutable_field_is_only_set_at_creation() -> None:
    assert check_written({"CATEGORY_ID": 7}, FIELDS, VALUES, creates=True).values == {"CATEGORY_ID": 7}
    with pytest.raises(InvalidInput, match="CATEGORY_ID: can only be set when the record is created"):
        check_written({"CATEGORY_ID": 7}, FIELDS, VALUES, creates=False)


@pytest.mark.parametrize(
    ("sent", "values"),
    [
        (None, []),
        ([], []),
        ("+7", [MultiValue("+7")]),
        (["+7", "8"], [MultiValue("+7"), MultiValue("8")]),
        ([{"VALUE": "+7", "VALUE_TYPE": "HOME", "ID": 5, "TYPE_ID": "PHONE"}], [MultiValue("+7", "HOME", "5")]),
        ([{"VALUE": "+7", "VALUE_TYPE": None, "ID": None, "TYPE_ID": None}], [MultiValue("+7")]),
    ],
)
def test_a_multifield_is_a_text_or_a_list(sent: object, values: list[MultiValue]) -> None:
    assert parse_values("PHONE", sent, creates=False) == (values, [])


@pytest.mark.parametrize(
    ("sent", "pointers"),
    [
        (5, ["/PHONE"]),
        ("", ["/PHONE"]),
        (["1", [], " "], ["/PHONE/1", "/PHONE/2"]),
        ({"VALUE": 5}, ["/PHONE/VALUE"]),
        ({"VALUE": " "}, ["/PHONE/VALUE"]),
        ([{"VALUE": "5"}, {"ID": 5}], ["/PHONE/1/VALUE"]),
        ([{"VALUE": "5", "VALUE_TYPE": 5}], ["/PHONE/0/VALUE_TYPE"]),
        ([{"VALUE": "5"}, {"VALUE": "6", "VALUE_TYPE": "JABBER"}], ["/PHONE/1/VALUE_TYPE"]),
        ([{"VALUE": "5", "VALUE_TYPE": "work"}], ["/PHONE/0/VALUE_TYPE"]),
        ([{"VALUE": "5", "TYPE_ID": "EMAIL"}], ["/PHONE/0/TYPE_ID"]),
        ([{"VALUE": "5", "ID": True}, {"VALUE": "6", "ID": []}], ["/PHONE/0/ID", "/PHONE/1/ID"]),
        ([{"VALUE": "5", "ID": 5}, {"VALUE": "6", "ID": "5"}], ["/PHONE/1/ID"]),
        ([{"VALUE": "5", "TYPE": "WORK", "a/b": 1}], ["/PHONE/0/TYPE", "/PHONE/0/a~1b"]),
    ],
)
def test_a_wrong_value_of_a_multifield_is_refused(sent: object, pointers: list[str]) -> None:
    _, errors = parse_values("PHONE", sent, creates=False)
    assert [(error.pointer, error.code) for error in errors] == [(pointer, "invalid_value") for pointer in pointers]


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
        (
            [row(5, "1")],
            [MultiValue("1"), MultiValue("2", None, "5")],
            [{"ID": "5", "VALUE": "2", "VALUE_TYPE": "WORK"}, {"VALUE": "1", "VALUE_TYPE": "WORK"}],
        ),
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
