"""The objects of REST 3.0: their fields with strict types, and their relations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.tasks import ZONE
from gateway.sandbox.php import Value
from gateway.sandbox.rest3.errors import wrong_type
from gateway.sandbox.tables.table import Row


class Kind(Enum):
    """The type of a field, as the portal's messages name it."""

    INT = "int"
    STRING = "string"
    BOOL = "bool"
    DATE_TIME = "DateTime"
    ARRAY = "array"
    OBJECT = "object"


_TYPES: dict[Kind, type] = {
    Kind.INT: int,
    Kind.STRING: str,
    Kind.BOOL: bool,
    Kind.DATE_TIME: str,
    Kind.ARRAY: list,
    Kind.OBJECT: dict,
}


@dataclass(frozen=True)
class Field:
    """One field. *by_default*: whether a get without a select returns it.

    *shows* is the column of a row that the field shows, "" for the column of the same name.
    """

    name: str
    kind: Kind
    filterable: bool = False
    sortable: bool = False
    editable: bool = False
    by_default: bool = True
    shows: str = ""

    @property
    def custom(self) -> bool:
        return self.name.startswith("UF_")

    def checked(self, value: Value) -> Value:
        """Return *value* unchanged if it has the field's type.

        Raises:
            Rest3Error: *value* has another type. Types are strict: ``"5"`` is not an int.
        """
        fits = value is None or type(value) is _TYPES[self.kind]
        if not fits or (value is not None and self.kind is Kind.DATE_TIME and _read_time(value) is None):
            raise wrong_type(self.name, self.kind.value)
        return value

    def comparable(self, value: Value) -> Any:
        """*value* in a form that compares as the portal's column does."""
        if isinstance(value, str):
            return _read_time(value) if self.kind is Kind.DATE_TIME else value.casefold()
        return value


def _read_time(value: str) -> float | None:
    """The Unix time of an ISO date, in the portal's time zone by default. None if it is invalid."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZONE)).timestamp()


@dataclass(frozen=True)
class Relation:
    """A related object: its kind, and a function that finds its row or returns None."""

    dto: "Dto"
    find: Callable[[Row, PortalData], Row | None]


@dataclass(frozen=True)
class Dto:
    """The fields and relations of one kind of object. *name* is its name in the portal's messages."""

    name: str
    fields: Mapping[str, Field]
    relations: Mapping[str, Relation] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, *fields: Field, relations: Mapping[str, Relation] | None = None) -> "Dto":
        return cls(name, {item.name: item for item in fields}, relations or {})
