"""The fields of one list on one portal: what they are, and which of their names its `filter` and `select` accept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from gateway.bitrix.lists.field_rules import CUSTOM, FieldRules

MULTIFIELD = "crm_multifield"


@dataclass(frozen=True, slots=True)
class Field:
    """One field as the fields method of its list describes it.

    *other_name* is a second accepted name. *choices* are the ids and texts of an enumeration's values, and *directory*
    is the ENTITY_ID of the directory with the values of a ``crm_status`` field. An *immutable* field is set when a
    record is created, and not changed afterwards.
    """

    name: str
    type: str = ""
    multiple: bool = False
    other_name: str = ""
    title: str = ""
    required: bool = False
    read_only: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    immutable: bool = False
    directory: str = ""

    @property
    def custom(self) -> bool:
        return self.name.startswith(CUSTOM) or self.other_name.startswith(CUSTOM)


@dataclass(frozen=True)
class ListFields:
    """The names that a list on one portal accepts: its fields, as *rules* modify them.

    *described*: the portal describes the list's fields. Otherwise it has no method for that, or this authorization may
    not call it.
    """

    rules: FieldRules
    fields: Mapping[str, Field]
    described: bool = True

    @cached_property
    def filters(self) -> Mapping[str, str]:
        """Names accepted in a filter, by `key`."""
        filterable = (
            field.name
            for field in self.fields.values()
            if self._is_column(field)
            and (self.rules.filters is None or field.custom or field.name in self.rules.filters)
        )
        return self._by_key((*filterable, *self.rules.extra_filters))

    @cached_property
    def selects(self) -> Mapping[str, str]:
        """Names accepted in a select, by `key`."""
        columns = [field for field in self.fields.values() if self._is_selectable(field)]
        names = [name for field in columns for name in (field.name, field.other_name) if name]
        return self._by_key((*names, *self.rules.extra_selects, *self.rules.selected_by))

    @cached_property
    def known(self) -> frozenset[str]:
        """The keys of all fields, whether accepted or not."""
        return frozenset(map(self.key, self.fields))

    def key(self, name: str) -> str:
        """The form of *name* that is compared with other names."""
        return name.upper() if self.rules.case_insensitive else name

    def column(self, name: str) -> Field | None:
        """The field *name*; None if it is unknown, or the rows of the list do not have it."""
        field = self.fields.get(name)
        return field if field is not None and self._is_selectable(field) else None

    @property
    def columns(self) -> list[str]:
        """The names of all fields that the rows of the list have."""
        return [name for name, field in self.fields.items() if self._is_selectable(field)]

    def type_of(self, name: str) -> str:
        field = self.fields.get(name)
        return "" if field is None else field.type

    def may_have(self, name: str) -> bool:
        """Whether the list may have the field *name* although the portal does not describe it."""
        return self.rules.version == 3 and (not self.described or name.startswith(CUSTOM))

    def _is_column(self, field: Field) -> bool:
        return self.rules.multiple_columns or not field.multiple or field.custom or field.type == MULTIFIELD

    def _is_selectable(self, field: Field) -> bool:
        return self._is_column(field) and field.type not in self.rules.unselectable_types

    def _by_key(self, names: Iterable[str]) -> dict[str, str]:
        return {self.key(name): name for name in names}


def decode_fields(result: Mapping[str, object]) -> dict[str, Field]:
    """The fields by name from the *result* of a fields method, without what has no name.

    Classic methods describe custom fields by several labels; that of the form is the title. A custom field has its
    directory in the settings. user.fields gives titles alone.
    Source: methods.md 1, 4, 5 and 6.2 (b24restdocs api-reference/crm/deals/crm-deal-fields.md and its siblings)
    """
    return {name: _decode_field(name, description) for name, description in result.items() if name}


def _decode_field(name: str, description: object) -> Field:
    if not isinstance(description, dict):
        return Field(name, title=_text(description))
    get = description.get
    custom = get("isDynamic") is True
    settings = get("settings")
    directory = get("statusType") or (settings.get("ENTITY_TYPE") if isinstance(settings, dict) else None)
    return Field(
        name,
        _text(get("type")),
        get("isMultiple") is True,
        _text(get("upperName")),
        _text(get("formLabel")) if custom and get("formLabel") else _text(get("title")),
        get("isRequired") is True,
        get("isReadOnly") is True,
        _decode_choices(get("items")),
        get("isImmutable") is True,
        _text(directory),
    )


def _decode_choices(items: object) -> tuple[tuple[str, str], ...]:
    """The choices in *items* that have an id."""
    if not isinstance(items, list):
        return ()
    choices = ((_text(item.get("ID")), _text(item.get("VALUE"))) for item in items if isinstance(item, dict))
    return tuple(choice for choice in choices if choice[0])


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
