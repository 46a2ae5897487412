"""Escaping of control characters."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.redaction import printable

SHOWN = {
    "a plain line: 100 % «да» 日本 👍 naïve": "a plain line: 100 % «да» 日本 👍 naïve",
    "two\nlines\r\n": "two\\nlines\\r\\n",
    "\x1b[31mred\x1b[0m": "\\x1b[31mred\\x1b[0m",
    "\x1b]0;title\x07": "\\x1b]0;title\\x07",
    "\x9b31m and \x7f and \x00": "\\x9b31m and \\x7f and \\x00",
    "abc\u202edcba": "abc\\u202edcba",
    "line\u2028and paragraph\u2029": "line\\u2028and paragraph\\u2029",
    "zero\u200bwidth\ufeff": "zero\\u200bwidth\\ufeff",
    "a lone \udcff surrogate": "a lone \\udcff surrogate",
    "tag \U000e0041": "tag \\U000e0041",
    "1\xa0000 and 1\u202f000": "1\xa0000 and 1\u202f000",
}


@pytest.mark.parametrize(("text", "shown"), SHOWN.items())
def test_control_and_format_characters_are_escaped_and_letters_stay(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_any_text_becomes_one_line_of_letters_symbols_and_spaces(text: str) -> None:
    shown = printable(text)
    assert shown.splitlines() in ([], [shown])
    assert not {unicodedata.category(character)[0] for character in shown} & {"C"}
    assert printable(shown) == shown
    shown.encode("utf-8")
