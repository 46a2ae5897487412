"""Decode rows of a portal's dictionaries into the properties of our contract. Unknown fields are dropped.

Each function returns the properties of one row, without our own id and createdAt. It returns None if the contract
cannot represent the row. Only this module translates Bitrix24's field names into ours.
"""

import re

from gateway.bitrix.lists.list_specs import Row

is_email = re.compile(r"[^@\s]+@[^@\s]+").fullmatch
# ENTITY_ID contains a stage's pipeline if CATEGORY_ID is missing: DEAL_STAGE_7, SMART_INVOICE_STAGE_9,
# DYNAMIC_128_STAGE_12.
# Source: b24restdocs api-reference/crm/status/crm-status-list.md, crm-status-entity-types.md
STAGE_OF_PIPELINE = re.compile(r"(?:[A-Z]+_)*(?:\d+_)?STAGE_(\d+)")
# The types of the contract: Bitrix24's own, and one that a partner adds.
FIELD_TYPES = frozenset(
    {
        "string",
        "integer",
        "double",
        "boolean",
        "datetime",
        "enumeration",
        "iblock_section",
        "iblock_element",
        "employee",
        "crm_status",
        "crm",
        "address",
        "money",
        "url",
        "file",
        "crm_pena_tag",
    }
)
FIELD_TYPE_ALIASES = {"date": "datetime"}  # types outside the contract, and the closest type in it
MIN_INT32, MAX_INT32 = -(2**31), 2**31 - 1
INT32 = range(MIN_INT32, MAX_INT32 + 1)


def _text(value: object) -> str:
    if type(value) is str:
        return value
    return str(value) if type(value) in (int, float) else ""


def _int32(value: object) -> int | None:
    if type(value) is int:
        return value if MIN_INT32 <= value <= MAX_INT32 else None
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,10}", value, re.ASCII):
        return _int32(int(value))
    return None


def decode_user(row: Row, bitrix_id: int) -> dict[str, object]:
    """Decode a user. Source: b24restdocs api-reference/user/user-get.md"""
    field = row.get
    departments = field("UF_DEPARTMENT")
    department_ids = departments if isinstance(departments, list) else [departments]
    user: dict[str, object] = {
        "bitrixUserID": str(bitrix_id),
        "name": _text(field("NAME")),
        "lastName": _text(field("LAST_NAME")),
        "secondName": _text(field("SECOND_NAME")),
        "title": _text(field("TITLE")),
        "uf_department": [number for value in department_ids if (number := _int32(value)) is not None],
        "workPosition": _text(field("WORK_POSITION")),
        "deleted": False,
    }
    if is_email(email := _text(field("EMAIL"))):
        user["email"] = email
    return user


def is_active(row: Row) -> bool:
    """Whether a user works in the company. A dismissed user does not.

    Source: b24restdocs api-reference/user/user-get.md
    """
    return row.get("ACTIVE") in (True, "Y", "1", "true")


def decode_step(row: Row, bitrix_id: int) -> dict[str, object]:
    """Decode a row of a directory, such as a stage. Source: b24restdocs api-reference/crm/status/crm-status-list.md"""
    entity_id = _text(row.get("ENTITY_ID"))
    pipeline_id = _int32(row.get("CATEGORY_ID"))
    if pipeline_id is None and (stage := STAGE_OF_PIPELINE.fullmatch(entity_id)):
        pipeline_id = _int32(stage[1])
    return {
        "bitrixID": str(bitrix_id),
        "entityID": entity_id,
        "statusID": _text(row.get("STATUS_ID")),
        "name": _text(row.get("NAME")),
        "nameInit": _text(row.get("NAME_INIT")),
        "color": _text(row.get("COLOR")),
        "pipelineID": max(pipeline_id or 0, 0),
        "deleted": False,
    }


def decode_pipeline(row: Row, bitrix_id: int, entity_type_id: int) -> dict[str, object] | None:
    """Decode a pipeline.

    Source: b24restdocs api-reference/crm/universal/category/crm-category-list.md
    """
    if bitrix_id not in INT32:
        return None
    return {
        "bitrixID": bitrix_id,
        "name": _text(row.get("name")),
        "entityTypeId": entity_type_id,
        "deleted": False,
    }


def decode_userfield(row: Row, bitrix_id: int, entity_id: str) -> dict[str, object] | None:
    """Decode a custom field of a classic entity.

    Source: b24restdocs api-reference/crm/*/userfields/crm-*-userfield-list.md
    """
    return _field(bitrix_id, entity_id, row.get("FIELD_NAME"), row.get("USER_TYPE_ID"), row.get("EDIT_FORM_LABEL"))


def decode_userfieldconfig(row: Row, bitrix_id: int, entity_id: str, language: str) -> dict[str, object] | None:
    """Decode a custom field of `userfieldconfig.list`, which has other field names, and its labels by language.

    Source: b24restdocs api-reference/crm/universal/userfieldconfig/userfieldconfig-list.md
    """
    labels = row.get("editFormLabel")
    label = labels.get(language) if isinstance(labels, dict) else labels
    return _field(bitrix_id, entity_id, row.get("fieldName"), row.get("userTypeId"), label)


def _field(
    bitrix_id: int, entity_id: str, field_name: object, user_type: object, label: object
) -> dict[str, object] | None:
    field_type = FIELD_TYPE_ALIASES.get(_text(user_type), _text(user_type))
    if field_type not in FIELD_TYPES:
        return None
    return {
        "bitrixID": str(bitrix_id),
        "entityID": entity_id,
        "fieldName": _text(field_name),
        "editFromLabel": _text(label) or _text(field_name),
        "fieldType": field_type,
        "deleted": False,
    }
