"""The directories of a sandbox portal and the sets of stages of its pipelines: what an ENTITY_ID of statuses is."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.sandbox.content.catalog import DEAL, DOCUMENT, LEAD, QUOTE, SMART_INVOICE
from gateway.sandbox.content.statuses import stage_entity
from gateway.sandbox.tables.table import Row, Table

MAX_CODE = 50
_STAGE_CODE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class StatusEntity:
    """One ENTITY_ID. *described* is its row of crm.status.entity.types; *max_code* is for a code without prefix."""

    described: Row
    prefix: str = ""
    max_code: int = MAX_CODE

    @property
    def entity_id(self) -> str:
        return str(self.described["ID"])

    @property
    def type_id(self) -> int | None:
        """The type whose records have these stages; None for a directory."""
        return self.described.get("ENTITY_TYPE_ID")

    @property
    def category_id(self) -> str | None:
        """The CATEGORY_ID of the stages of a pipeline other than the default one of deals."""
        number = self.described.get("CATEGORY_ID")
        return str(number) if number else None

    def is_valid(self, code: str) -> bool:
        """Whether a status may have this code, given without the prefix.

        Source: [docs] api-reference/crm/status/crm-status-add.md
        """
        is_plain = self.type_id is None or _STAGE_CODE.fullmatch(code) is not None
        return is_plain and len(code) <= self.max_code


def status_entities(types: Table, categories: Mapping[int, Table]) -> dict[str, StatusEntity]:
    """All directories and sets of stages by ENTITY_ID.

    Source: [docs] api-reference/crm/status/crm-status-entity-types.md
    """
    by_type = {row["entityTypeId"]: row for row in types.values()}
    entities = (
        _stages_of_type("STATUS", "Стадии лидов", LEAD, ("NEW", "CONVERTED", "JUNK"), 21),
        _directory("SOURCE", "Источники"),
        _directory("CONTACT_TYPE", "Тип контакта"),
        _directory("COMPANY_TYPE", "Тип компании"),
        _directory("EMPLOYEES", "Количество сотрудников"),
        _directory("INDUSTRY", "Сфера деятельности"),
        _directory("DEAL_TYPE", "Тип сделки"),
        *(_item_stages(row, "Стадии счёта", is_enabled=True) for row in categories[SMART_INVOICE].values()),
        *_deal_stages(categories[DEAL]),
        _stages_of_type("QUOTE_STATUS", "Стадии предложений", QUOTE, ("DRAFT", "APPROVED", "DECLAINED"), 22),
        _directory("HONORIFIC", "Обращения"),
        _directory("CALL_LIST", "Статусы обзвона"),
        *(_item_stages(row, "Стадии документа", is_enabled=True) for row in categories[DOCUMENT].values()),
        *(
            _smart_process_stages(row, by_type[type_id])
            for type_id, table in categories.items()
            if type_id in by_type
            for row in table.values()
        ),
    )
    return {entity.entity_id: entity for entity in entities}


def _directory(entity_id: str, name: str) -> StatusEntity:
    return StatusEntity({"ID": entity_id, "NAME": name})


def _stages_of_type(
    entity_id: str, name: str, type_id: int, codes: tuple[str, str, str], max_code: int
) -> StatusEntity:
    semantics = _semantic_info(*codes)
    described = {"ID": entity_id, "NAME": name, "SEMANTIC_INFO": semantics, "ENTITY_TYPE_ID": type_id}
    return StatusEntity(described, max_code=max_code)


def _deal_stages(categories: Table) -> Iterator[StatusEntity]:
    """The stages of every pipeline of deals, the default one last."""
    for category in sorted(categories.values(), key=lambda row: row["id"] == 0):
        entity_id, prefix = stage_entity(DEAL, category["id"])
        row: Row = {"ID": entity_id, "NAME": f"Стадии сделок ({category['name']})"}
        semantics = _semantic_info(f"{prefix}NEW", f"{prefix}WON", f"{prefix}LOSE")
        if category["id"]:
            row |= {"PARENT_ID": "DEAL_STAGE", "SEMANTIC_INFO": semantics, **_scope(prefix, category["id"])}
            row |= {"ENTITY_TYPE_ID": DEAL, "CATEGORY_ID": str(category["id"])}
        else:
            row |= {"SEMANTIC_INFO": semantics, "FIELD_ATTRIBUTE_SCOPE": "", "ENTITY_TYPE_ID": DEAL, "CATEGORY_ID": 0}
        yield StatusEntity(row, prefix, 22 - len(prefix))


def _smart_process_stages(category: Row, type_row: Row) -> StatusEntity:
    name = f"{type_row['title']} ({category['name']})"
    stages = _item_stages(category, name, is_enabled=type_row["isStagesEnabled"] == "Y")
    pipeline = {
        "CATEGORY_NAME": category["name"],
        "CATEGORY_SORT": category["sort"],
        "IS_DEFAULT_CATEGORY": category["isDefault"] == "Y",
    }
    return StatusEntity({**stages.described, **pipeline}, stages.prefix)


def _item_stages(category: Row, name: str, *, is_enabled: bool) -> StatusEntity:
    entity_id, prefix = stage_entity(category["entityTypeId"], category["id"])
    row: Row = {"ID": entity_id, "NAME": name, "SEMANTIC_INFO": [], **_scope(prefix, category["id"])}
    row |= {"ENTITY_TYPE_ID": category["entityTypeId"], "IS_ENABLED": is_enabled, "CATEGORY_ID": category["id"]}
    return StatusEntity(row, prefix)


def _scope(prefix: str, category_id: int) -> Row:
    return {"PREFIX": prefix.removesuffix(":"), "FIELD_ATTRIBUTE_SCOPE": f"category_{category_id}"}


def _semantic_info(start: str, success: str, failure: str) -> Row:
    return {
        "START_FIELD": start,
        "FINAL_SUCCESS_FIELD": success,
        "FINAL_UNSUCCESS_FIELD": failure,
        "FINAL_SORT": 0,
    }
