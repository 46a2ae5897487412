"""What REST 3.0 knows of its objects: fields with strict types, and the objects they lead to."""

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
    """One field; *by_default* ones come where a method that shows all is given no select.

    *shows*: the column of a row that it shows; "" for that of its own name.
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
        """*value* as it is.

        Raises:
            Rest3Error: it is not of the field's type, which is strict: ``"5"`` is no int.
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
    """Unix time of an ISO date; without an offset it is the portal's own."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZONE)).timestamp()


@dataclass(frozen=True)
class Relation:
    """An object that a field leads to: its kind, and how its row is found, None where there is none."""

    dto: "Dto"
    find: Callable[[Row, PortalData], Row | None]


@dataclass(frozen=True)
class Dto:
    """The fields and relations of one kind of object, under the name that the portal's messages give it."""

    name: str
    fields: Mapping[str, Field]
    relations: Mapping[str, Relation] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, *fields: Field, relations: Mapping[str, Relation] | None = None) -> "Dto":
        return cls(name, {one.name: one for one in fields}, relations or {})
