"""The fields of a list of records, to parse filters with."""

from gateway.bitrix.lists.field_rules import FieldRules
from gateway.bitrix.lists.list_fields import Field, ListFields
from gateway.mirror.query_fields import QueryFields
from storage.json_values import Kind

ZONE_S = 3 * 3600


def listed(fields: dict[str, Field]) -> ListFields:
    """The *fields* of a list whose rows have all of them."""
    return ListFields(FieldRules("", ()), fields)


FIELDS = QueryFields(
    listed(
        {
            field.name: field
            for field in (
                Field("ID", "integer"),
                Field("TITLE", "string"),
                Field("STAGE_ID", "crm_status"),
                Field("CATEGORY_ID", "crm_category"),
                Field("OPPORTUNITY", "double"),
                Field("ASSIGNED_BY_ID", "user"),
                Field("OPENED", "char"),
                Field("UF_FLAG", "boolean"),
                Field("DATE_MODIFY", "datetime"),
                Field("BEGINDATE", "date"),
                Field("UF_FILE", "file"),
                Field("UF_TAGS", "enumeration", multiple=True),
                Field("UF_MONEY", "money"),
                Field("PHONE", "crm_multifield", multiple=True),
                Field("UF_ADDRESS", "address"),
                Field('UF"; --', "string"),
            )
        }
    ),
    {"STAGE_ID": "stage", "CATEGORY_ID": "category", "DATE_MODIFY": "modified", "TITLE": "person"},
    {("UF_MONEY", Kind.NUMBER): 4},
    ZONE_S,
)


def nested(levels: int) -> object:
    value: object = ["id", 1]
    for _ in range(levels):
        value = {"conditions": [value]}
    return [value]
