"""The fields of a list of records, to parse filters with."""

from dataclasses import dataclass

from gateway.mirror.query_fields import QueryFields
from storage.json_values import Kind

ZONE_S = 3 * 3600


@dataclass(frozen=True)
class Descriptor:
    """What a portal says about a field."""

    name: str
    type: str
    multiple: bool = False


FIELDS = QueryFields(
    {
        descriptor.name: descriptor
        for descriptor in (
            Descriptor("ID", "integer"),
            Descriptor("TITLE", "string"),
            Descriptor("STAGE_ID", "crm_status"),
            Descriptor("CATEGORY_ID", "crm_category"),
            Descriptor("OPPORTUNITY", "double"),
            Descriptor("ASSIGNED_BY_ID", "user"),
            Descriptor("OPENED", "char"),
            Descriptor("UF_FLAG", "boolean"),
            Descriptor("DATE_MODIFY", "datetime"),
            Descriptor("BEGINDATE", "date"),
            Descriptor("UF_FILE", "file"),
            Descriptor("UF_TAGS", "enumeration", multiple=True),
            Descriptor("UF_MONEY", "money"),
            Descriptor("PHONE", "crm_multifield", multiple=True),
            Descriptor("UF_ADDRESS", "address"),
            Descriptor('UF"; --', "string"),
        )
    },
    {"STAGE_ID": "stage", "CATEGORY_ID": "category", "DATE_MODIFY": "modified", "TITLE": "person"},
    {("UF_MONEY", Kind.NUMBER): 4},
    ZONE_S,
)


def nested(levels: int) -> object:
    value: object = ["id", 1]
    for _ in range(levels):
        value = {"conditions": [value]}
    return [value]
