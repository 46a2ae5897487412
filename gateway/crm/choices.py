"""The choices of an enumeration, a directory or the currencies of a portal, found by their ids or texts."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from gateway.bitrix.lists.suggestions import suggest_name

MAX_SHOWN = 10  # choices that an error names


class Ambiguous(ValueError):
    """several choices have this text, or this id but for its case, or several users have this e-mail"""


class Unlisted(ValueError):
    """a value is none of the choices"""

    def __init__(self, rule: str, wanted: str, choices: "Choices") -> None:
        super().__init__(f"{rule}: {choices.shown}")
        self._wanted = wanted
        self._choices = choices

    def suggest(self) -> str | None:
        """The id or the text that is meant, if the rule does not name all choices; None if none is close."""
        names = self._choices.names
        return suggest_name(self._wanted, (*names, *names.values())) if len(names) > MAX_SHOWN else None


@dataclass(frozen=True)
class Choices:
    """Choices: *names* are their texts by id."""

    names: Mapping[str, str]

    @cached_property
    def _ids(self) -> Mapping[str, list[str]]:
        """The ids by themselves, and otherwise by the text, without case."""
        ids: dict[str, list[str]] = {}
        texts: dict[str, list[str]] = {}
        for choice_id, name in self.names.items():
            ids.setdefault(choice_id.casefold(), []).append(choice_id)
            texts.setdefault(name.casefold(), []).append(choice_id)
        return {**texts, **ids}

    @cached_property
    def shown(self) -> str:
        """The first MAX_SHOWN ids and texts, for an error."""
        shown = [f"{choice_id} ({name})" for choice_id, name in islice(self.names.items(), MAX_SHOWN)]
        return ", ".join(shown) + (" and others" if len(self.names) > MAX_SHOWN else "")

    def have(self, values: Set[str]) -> bool:
        """Whether each of *values* is an id or a text."""
        return all(value in self.names or value.casefold() in self._ids for value in values)

    def find(self, value: object) -> str:
        """The id of the choice that *value* names by its id, or else by its text, both compared without case.

        Raises:
            ValueError: with the rule that the value breaks: Ambiguous if several choices have this id or text, Unlisted
                if none has.
        """
        wanted = text_of(value)
        if wanted is None:
            raise ValueError("must be the id or the text of a choice")
        if wanted in self.names:
            return wanted
        ids = self._ids.get(wanted.casefold(), [])
        if len(ids) > 1:
            shared = "id, but for the case," if ids[0].casefold() == wanted.casefold() else "text"
            raise Ambiguous(f"is the {shared} of several choices: use one of the ids {', '.join(ids[:MAX_SHOWN])}")
        if not ids:
            raise Unlisted("must be the id or the text of a choice", wanted, self)
        return ids[0]


def text_of(value: object) -> str | None:
    """The text by which *value* names a choice; None if it cannot name one."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
