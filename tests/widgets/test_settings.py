"""The settings of an installation, by the types of the template."""

from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidInput
from gateway.widgets.templates import TYPES, TemplateField, check_settings, missing_settings
from tests.gateway import Gateway
from tests.support.widgets import WIDGETS, Person, broken_rules

LOGIN = {"login": "a", "password": "b"}
ACCEPTED: dict[str, list[Any]] = {
    "text": ["x", " ", "Ключ 🌷", "x" * 100_000, "\0"],
    "pass": ["x"],
    "users": [{"504141": "1039"}, {"1": "", "2": "x"}],
    "users_lp": [{"504141": LOGIN}, {"1": {"login": "", "password": ""}}],
    "custom": ["x", "", 5, 1.5, True, False, [], {}, [None], {"a": {"b": [1, "x"]}}],
}


def of_another_type(*values: Any) -> list[tuple[Any, list[tuple[str, str]]]]:
    """Return *values*, each with the rule that it breaks."""
    return [(value, [("key", "InvalidType")]) for value in values]


REFUSED: dict[str, list[tuple[Any, list[tuple[str, str]]]]] = {
    "text": of_another_type(5, 1.5, True, [], {"x": 1}),
    "pass": of_another_type(5, True, ["x"]),
    "users": [
        *of_another_type([], "x", 5, True),
        ({"abc": "1"}, [("key.abc", "InvalidValue")]),
        ({"": "1"}, [("key.", "InvalidValue")]),
        ({"-1": "1"}, [("key.-1", "InvalidValue")]),
        ({"٣": "1"}, [("key.٣", "InvalidValue")]),
        ({"504141": {}}, [("key.504141", "InvalidType")]),
        ({"504141": 1039, "7": None, "8": "x"}, [("key.504141", "InvalidType"), ("key.7", "InvalidType")]),
    ],
    "users_lp": [
        *of_another_type([], "x", 5),
        ({"504141": "x"}, [("key.504141", "InvalidType")]),
        ({"504141": ["x"]}, [("key.504141", "InvalidType")]),
        ({"abc": LOGIN}, [("key.abc", "InvalidValue")]),
        ({"5": {}}, [("key.5.login", "FieldMissing"), ("key.5.password", "FieldMissing")]),
        ({"5": {"login": 5, "password": None}}, [("key.5.login", "InvalidType"), ("key.5.password", "InvalidType")]),
        ({"5": {**LOGIN, "a.b": "x"}}, [("key.5.a.b", "UnknownProperty")]),
    ],
    "custom": [],
}
EMPTY: dict[str, list[Any]] = {"text": [""], "pass": [""], "users": [{}], "users_lp": [{}], "custom": []}


def field(kind: str, *, required: bool = True, key: str = "key") -> dict[str, Any]:
    return {"key": key, "name": "Поле", "type": kind, "is_required": required}


@pytest.mark.parametrize("kind", TYPES)
async def test_each_type_takes_its_values_and_gives_them_back(user: Person, kind: str) -> None:
    admin = user.but(admin=True)
    await admin.add("a", settings_template=[field(kind)])
    for value in ACCEPTED[kind]:
        assert (await admin.install("a", {"key": value}))["settings"] == {"key": value}


@pytest.mark.parametrize("kind", TYPES)
async def test_each_type_refuses_other_values_with_their_paths(user: Person, kind: str) -> None:
    admin = user.but(admin=True)
    await admin.add("a", settings_template=[field(kind, required=False)])
    for value, rules in REFUSED[kind]:
        assert broken_rules(await admin.post(f"{WIDGETS}/a", json={"key": value})) == rules
    if kind != "custom":
        assert broken_rules(await admin.post(f"{WIDGETS}/a", json={"key": None})) == [("key", "InvalidType")]


@pytest.mark.parametrize("kind", TYPES)
async def test_a_required_value_is_neither_missing_nor_null_nor_empty(user: Person, kind: str) -> None:
    admin = user.but(admin=True)
    await admin.add("a", settings_template=[field(kind)])
    for settings in ({}, {"key": None}, *({"key": empty} for empty in EMPTY[kind])):
        assert broken_rules(await admin.post(f"{WIDGETS}/a", json=settings)) == [("key", "FieldMissing")]


@pytest.mark.parametrize("kind", TYPES)
async def test_an_optional_value_may_be_missing_or_empty(user: Person, kind: str) -> None:
    admin = user.but(admin=True)
    await admin.add("a", settings_template=[field(kind, required=False)])
    for settings in ({}, *({"key": empty} for empty in EMPTY[kind])):
        assert (await admin.install("a", settings))["settings"] == settings


async def test_all_mistakes_come_in_one_answer(user: Person) -> None:
    admin = user.but(admin=True)
    template = [field("text", key="a"), field("users", key="b"), field("users_lp", key="c"), field("pass", key="d")]
    await admin.add("a", settings_template=template)
    answer = await admin.post(
        f"{WIDGETS}/a", json={"a": 5, "b": {"x": 1}, "c": {"5": {"login": "a"}}, "unknown.key": 1}
    )
    assert broken_rules(answer) == [
        ("a", "InvalidType"),
        ("b.x", "InvalidValue"),
        ("c.5.password", "FieldMissing"),
        ("d", "FieldMissing"),
        ("unknown.key", "UnknownProperty"),
    ]
    assert answer.json["detail"] == "Request validation failed"
    assert answer.json["type"] == "https://httpstatus.es/400"


async def test_a_value_that_is_nested_too_deeply_is_refused(user: Person) -> None:
    admin = user.but(admin=True)
    await admin.add("a", settings_template=[field("custom")])
    value: Any = {}
    for _ in range(64):
        value = [value]
    assert broken_rules(await admin.post(f"{WIDGETS}/a", json={"key": value})) == [("key", "TooDeep")]


async def test_more_than_a_hundred_mistakes_are_cut(user: Person) -> None:
    admin = user.but(admin=True)
    await admin.add("a", settings_template=[field("users")])
    answer = await admin.post(f"{WIDGETS}/a", json={"key": {str(number): 1 for number in range(1, 5000)}})
    assert len(broken_rules(answer)) == 100
    assert answer.json["detail"] == "Request validation failed; errors left out: 4899"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("05ab", max_size=3), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.text("abc~/", min_size=1, max_size=2)
TEMPLATES = st.lists(
    st.builds(TemplateField, KEYS, st.just("x"), st.sampled_from(list(TYPES)), st.booleans()),
    max_size=4,
    unique_by=lambda each: each.key,
)


@given(template=TEMPLATES, settings=st.dictionaries(KEYS, JSON, max_size=4))
def test_settings_are_accepted_exactly_when_nothing_is_missing_and_no_key_is_unknown(
    template: list[TemplateField], settings: dict[str, Any]
) -> None:
    unknown = settings.keys() - {each.key for each in template}
    missing = missing_settings(template, settings)
    with pytest.raises(InvalidInput) if unknown or missing else nullcontext():
        check_settings(template, settings)


async def test_no_setting_is_logged(gateway: Gateway, user: Person, capsys: pytest.CaptureFixture[str]) -> None:
    await gateway.restart(GATEWAY_LOG_LEVEL="debug")
    admin = user.but(admin=True)
    await admin.add("a", settings_template=[field("pass"), field("users_lp", key="logins")])
    settings = {"key": "canary-of-a-password", "logins": {"5": {"login": "a", "password": "canary-of-a-login"}}}
    await admin.install("a", settings)
    await admin.post(f"{WIDGETS}/a", json={**settings, "unknown": "canary-of-an-unknown-value"})
    await admin.delete(f"{WIDGETS}/a")
    await gateway.stop()
    logged = capsys.readouterr()
    assert f"POST {WIDGETS}/{{code}}" in logged.err
    assert "canary-of-" not in logged.out + logged.err
    await gateway.start()
