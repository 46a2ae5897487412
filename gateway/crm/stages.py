"""The stages of a pipeline, and how errors name stages and pipelines."""

from gateway.bitrix.client import PortalClient
from gateway.bitrix.lists.page import ListCall
from gateway.crm.catalog import read_lists, sort_of
from gateway.errors import InvalidInput
from gateway.mirror.pipelines import Pipelines
from gateway.mirror.resources import ITEMS, RecordType
from gateway.mirror.stage_directories import WITHOUT_PIPELINES, directory_of

Stages = list[tuple[str, str]]
"""The ids and names of stages in their order."""

MAX_SHOWN = 20  # stages and pipelines that an error names
NO_STAGES = "records of this type have no stages"


def as_item(record: RecordType) -> RecordType:
    """The same records as crm.item.* has them."""
    return RecordType(record.entity_type_id, record.names, ITEMS, {"entityTypeId": record.entity_type_id})


async def list_stages(client: PortalClient, entity_type_id: int, pipeline: int) -> Stages:
    """The stages of a pipeline.

    Raises:
        PortalError: the stages could not be read.
    """
    wanted = {"ENTITY_ID": directory_of(entity_type_id, pipeline)}
    (rows,) = await read_lists(client, [ListCall("crm.status.list", {"filter": wanted})])
    return [(str(row.get("STATUS_ID")), str(row.get("NAME"))) for row in sorted(rows, key=sort_of)]


def stage_of(entity_type_id: int) -> str:
    """How errors name the stages that a record of this type may have. Those of leads and quotes are called statuses."""
    directory = WITHOUT_PIPELINES.get(entity_type_id)
    return "stage of the pipeline" if directory is None else f"status of the directory {directory}"


def find_stage(stages: Stages, wanted: str | None, entity_type_id: int) -> str:
    """The id of the stage with this id or name, of *stages* by id and name, which are not empty; None: the first one.

    A name is compared without case.

    Raises:
        InvalidInput: there is none, or there are several.
    """
    if wanted is None:
        return stages[0][0]
    ids = [stage_id for stage_id, _ in stages if stage_id == wanted]
    ids = ids or [stage_id for stage_id, name in stages if name.casefold() == wanted.casefold()]
    if len(ids) > 1:
        rule = f"is the name of more than one {stage_of(entity_type_id)}: use one of the ids {', '.join(ids)}"
        raise InvalidInput.of_field("/stage", "ambiguous_value", rule)
    if not ids:
        rule = f"must be the id or the name of a {stage_of(entity_type_id)}: {show_choices(stages)}"
        raise InvalidInput.of_field("/stage", "invalid_value", rule)
    return ids[0]


def show_choices(named: Stages) -> str:
    """The first MAX_SHOWN ids and names, for an error."""
    more = " and others" if len(named) > MAX_SHOWN else ""
    return ", ".join(f"{each} ({name})" for each, name in named[:MAX_SHOWN]) + more


def show_pipelines(pipelines: Pipelines) -> str:
    """The first MAX_SHOWN ids and names, for an error."""
    return show_choices([(str(each), name) for each, name in pipelines.names.items()])


def why_no_stages(pipeline: int, pipelines: Pipelines) -> str:
    """Why a record in *pipeline* cannot have a stage, although its type has *pipelines*; for an error."""
    if pipeline in pipelines.names:
        return NO_STAGES
    gone = f"cannot be set, as the record's pipeline {pipeline} no longer exists"
    return f"{gone}: move the record to another pipeline, one of {show_pipelines(pipelines)}"
