"""The stages of a pipeline, and what moves a record to one of them."""

from typing import Any

from gateway.bitrix.client import PortalClient
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import ListCall
from gateway.crm.catalog import read_lists, sort_of
from gateway.errors import InvalidInput
from gateway.mirror.resources import ITEMS, RecordType
from gateway.mirror.stage_directories import WITHOUT_PIPELINES, directory_of

Stages = list[tuple[str, str]]
"""The ids and names of stages in their order."""

MAX_SHOWN = 20  # stages and pipelines that an error names


def as_item(record: RecordType) -> RecordType:
    """The same records as crm.item.* has them."""
    return RecordType(record.entity_type_id, record.names, ITEMS, {"entityTypeId": record.entity_type_id})


async def list_stages(client: PortalClient, entity_type_id: int, pipeline: int) -> Stages:
    """The stages of a pipeline.

    Raises:
        PortalError: the stages could not be read.
    """
    (rows,) = await read_lists(client, [_stages_call(entity_type_id, pipeline)])
    return _named(rows)


def _stages_call(entity_type_id: int, pipeline: int) -> ListCall:
    return ListCall("crm.status.list", {"filter": {"ENTITY_ID": directory_of(entity_type_id, pipeline)}})


def _named(rows: list[Row]) -> Stages:
    return [(str(row.get("STATUS_ID")), str(row.get("NAME"))) for row in sorted(rows, key=sort_of)]


async def moved_values(
    client: PortalClient, record: RecordType, item: Row, stage: str | None, pipeline: int | None
) -> dict[str, Any]:
    """What crm.item.update gets to move *item* to a *stage*, given by its id or name, of its pipeline or another one.

    Without a stage, it is the first one of the *pipeline*.

    Raises:
        InvalidInput: the records have no pipelines or stages, or none with this id or name; or several of the name.
        PortalError: the pipelines and stages could not be read.
    """
    type_id = record.entity_type_id
    if record.names.stage is None:
        raise InvalidInput.of_field("/stage", "invalid_value", "records of this type have no stages")
    if pipeline is not None and type_id in WITHOUT_PIPELINES:
        raise InvalidInput.of_field("/pipeline", "invalid_value", "records of this type have no pipelines")
    current = item.get("categoryId")
    target = pipeline if pipeline is not None else current if isinstance(current, int) else 0
    calls = [_stages_call(type_id, target)]
    if pipeline is not None:
        calls.append(ListCall("crm.category.list", {"entityTypeId": type_id}))
    stages, *categories = await read_lists(client, calls)
    if categories and pipeline not in [row.get("id") for row in categories[0]]:
        known = show_choices([(str(row.get("id")), str(row.get("name"))) for row in categories[0]])
        raise InvalidInput.of_field("/pipeline", "invalid_value", f"must be the id of a pipeline: {known}")
    values: dict[str, Any] = {} if pipeline is None else {"categoryId": pipeline}
    return values | {"stageId": find_stage(_named(stages), stage)}


def find_stage(stages: Stages, wanted: str | None) -> str:
    """The id of the stage with this id or name, of *stages* by id and name. A name is compared without case.

    Raises:
        InvalidInput: there is none, or there are several.
    """
    if not stages:
        raise InvalidInput.of_field("/stage", "invalid_value", "records of this type have no stages")
    if wanted is None:
        return stages[0][0]
    ids = [stage_id for stage_id, _ in stages if stage_id == wanted]
    ids = ids or [stage_id for stage_id, name in stages if name.casefold() == wanted.casefold()]
    if len(ids) > 1:
        raise InvalidInput.of_field(
            "/stage", "ambiguous_value", f"is the name of several stages: use one of the ids {', '.join(ids)}"
        )
    if not ids:
        rule = f"must be the id or the name of a stage of this pipeline: {show_choices(stages)}"
        raise InvalidInput.of_field("/stage", "invalid_value", rule)
    return ids[0]


def show_choices(named: Stages) -> str:
    """The first MAX_SHOWN ids and names, for an error."""
    more = " and others" if len(named) > MAX_SHOWN else ""
    return ", ".join(f"{each} ({name})" for each, name in named[:MAX_SHOWN]) + more
