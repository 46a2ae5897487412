"""Conditions that callers give as parameters of their own: the contact, the company, the pipeline and the stage."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import FieldError, InvalidInput
from gateway.mirror.query_fields import COLUMN_KINDS
from gateway.mirror.resources import RecordType, Resource, record_type
from storage.conditions import Comparison, Group
from storage.json_values import Column, QueryField, SqlValue


@dataclass(frozen=True)
class ColumnParameter:
    """The column that a parameter filters by. *word* names it in errors. Its values *are_ids*, or else texts."""

    column: Column
    word: str
    are_ids: bool = True


COLUMN_PARAMETERS: Mapping[str, ColumnParameter] = {
    "contactId": ColumnParameter("contact", "contact"),
    "companyId": ColumnParameter("company", "company"),
    "categoryId": ColumnParameter("category", "pipeline"),
    "stageId": ColumnParameter("stage", "stage", are_ids=False),
}
ColumnValues = tuple[tuple[str, SqlValue], ...]
"""Parameters of COLUMN_PARAMETERS and their values."""


def check_columns(values: ColumnValues, resource: Resource) -> None:
    """
    Raises:
        InvalidInput: with one error for each parameter whose column the records of *resource* do not have.
    """
    names = field_names(record_type(resource))
    errors = [
        FieldError("invalid_value", f"is not valid for {resource.name}, which have no {word}", parameter=parameter)
        for parameter, _ in values
        if COLUMN_PARAMETERS[parameter].column not in names
        for word in [COLUMN_PARAMETERS[parameter].word]
    ]
    if errors:
        raise InvalidInput.of_errors(errors)


def with_columns(condition: Group | None, values: ColumnValues, record: RecordType) -> Group | None:
    """The *condition* of a filter on mirrored records, and these conditions on their columns besides."""
    if not values:
        return condition
    names = field_names(record)
    columns = [(COLUMN_PARAMETERS[parameter].column, value) for parameter, value in values]
    comparisons = [
        Comparison(QueryField(names[column], COLUMN_KINDS[column], column=column), "=", (value,))
        for column, value in columns
    ]
    return Group(any=False, negative=False, conditions=(*comparisons, *(() if condition is None else (condition,))))


def portal_filter(values: ColumnValues, record: RecordType) -> dict[str, SqlValue]:
    """The filter of the records' list method. A contact is the first one: lists do not filter by the others.

    Source: protocol.md 6.2, methods.md 4, 5.3 (b24restdocs api-reference/crm/deals/crm-deal-list.md)
    """
    names = field_names(record)
    return {f"={names[COLUMN_PARAMETERS[parameter].column]}": value for parameter, value in values}


def field_names(record: RecordType) -> dict[Column, str]:
    """The names of the portal's fields by the columns that hold them."""
    return {column: name for name, column in record.columns.items()}
