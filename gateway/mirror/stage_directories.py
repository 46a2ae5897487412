"""The directories of the portal that hold the stages of each type of records.

Source: methods.md 0.1 (b24restdocs api-reference/crm/status/, api-reference/crm/data-types.md)
"""

LEAD, DEAL, QUOTE, SMART_INVOICE = 1, 2, 7, 31
WITHOUT_PIPELINES = {LEAD: "STATUS", QUOTE: "QUOTE_STATUS"}


def directory_of(entity_type_id: int, pipeline: int) -> str:
    """The ENTITY_ID of the stages of a pipeline."""
    if entity_type_id in WITHOUT_PIPELINES:
        return WITHOUT_PIPELINES[entity_type_id]
    common = common_directory(entity_type_id)
    return common if entity_type_id == DEAL and pipeline == 0 else f"{common}_{pipeline}"


def common_directory(entity_type_id: int) -> str:
    """How the ENTITY_ID of all pipelines of a type begins: ``DEAL_STAGE``, of which one more is ``DEAL_STAGE_7``."""
    kind = {DEAL: "DEAL", SMART_INVOICE: "SMART_INVOICE"}.get(entity_type_id, f"DYNAMIC_{entity_type_id}")
    return f"{kind}_STAGE"
