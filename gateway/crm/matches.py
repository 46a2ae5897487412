"""Finds the records that an upsert is about: by their phones, e-mail addresses, or the value of another field."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.lists.list_fields import MULTIFIELD, ListFields
from gateway.bitrix.lists.page import PAGE_ROWS
from gateway.bitrix.lists.suggestions import suggest_name
from gateway.bitrix.protocol.v2 import Command
from gateway.bitrix.rows.records import decode_integer
from gateway.crm.bodies import UNKNOWN_FIELD, Written
from gateway.crm.values import TOO_MANY_VALUES
from gateway.crm.writes import RecordWrites
from gateway.errors import InvalidInput, SeveralMatch

PHONE = "PHONE"
COMMUNICATIONS = (PHONE, "EMAIL")
MAX_VALUES = 20  # that the portal searches for. Source: methods.md 7 (crm-duplicate-find-by-comm.md)
ENOUGH_HITS = 20  # the portal may know more records. Source: as above
SEARCHED = {1: "LEAD", 3: "CONTACT", 4: "COMPANY"}  # the names of the entity types that have communications


@dataclass(frozen=True)
class Match:
    """What a record must have in the field *name*: one of *values*, in the form in which they are compared."""

    name: str
    values: tuple[object, ...]


def parse_match(names: str, written: Written, fields: ListFields) -> list[Match]:
    """What to find a record by, in the order of the comma-separated *names*. Fields without a value are left out.

    Raises:
        InvalidInput: a name is unknown or cannot be searched by, or none of the fields has a value.
    """
    wanted = names.split(",")
    for name in wanted:
        if rule := _rule_against(name, fields):
            raise InvalidInput.of_parameter("match", *rule)
    if len(set(wanted)) < len(wanted):
        raise InvalidInput.of_parameter("match", "repeated", "names a field twice")
    matches = [Match(name, _values(name, written)) for name in wanted]
    for match in matches:
        if match.name in COMMUNICATIONS and len(match.values) > MAX_VALUES:
            rule_ = f"must have at most {MAX_VALUES} values to be searched by"
            raise InvalidInput.of_field(f"/{match.name}", TOO_MANY_VALUES, rule_)
    if not any(match.values for match in matches):
        if PHONE in wanted and written.multifields.get(PHONE):
            raise InvalidInput.of_field(f"/{PHONE}", "no_value", "has no digits, by which phones are compared")
        raise InvalidInput.of_field("", "no_value", f"must have a value of {' or '.join(wanted)}, to be found by it")
    return [match for match in matches if match.values]


def _rule_against(name: str, fields: ListFields) -> tuple[str, str] | None:
    """The code and the rule that searching by a field breaks; None if it can be searched by."""
    field = fields.fields.get(name)
    if field is None:
        nearest = suggest_name(name, fields.fields)
        question = "" if nearest is None else f"; did you mean {nearest!r}?"
        return UNKNOWN_FIELD, f"unknown field {name[:64]!r}{question}"
    if name in COMMUNICATIONS and field.type == MULTIFIELD:
        return None
    if field.multiple or field.type in (MULTIFIELD, "file") or fields.key(name) not in fields.filters:
        return "invalid_value", f"cannot search by {name}"
    return None


def _values(name: str, written: Written) -> tuple[object, ...]:
    """The different values of a field in the form in which they are compared."""
    if name in written.multifields:
        found = (comparable(name, each.value) for each in written.multifields[name])
        return tuple(dict.fromkeys(value for value in found if value))
    value = written.values.get(name)
    return () if value in (None, "") else (value,)


def comparable(name: str, value: str) -> str:
    """The digits of a phone, or an e-mail address without case."""
    return re.sub(r"[^0-9]", "", value) if name == PHONE else value.strip().casefold()


async def find_matching(writes: RecordWrites, match: Match) -> int | None:
    """The id of the record that matches; None if there is none.

    Raises:
        SeveralMatch: there are several, or so many similar ones that the portal does not tell all.
        PortalError: the portal could not be asked.
    """
    if match.name in COMMUNICATIONS:
        candidates = await _find_by_communication(writes, match)
        found = candidates and await writes.find_rows({"@ID": candidates}, match.name)
        ids = [row_id for row_id, row in (found or {}).items() if _has_communication(row, match)]
        is_complete = len(candidates) < ENOUGH_HITS
    else:
        (value,) = match.values
        found = await writes.find_rows({f"={match.name}": value}, match.name)
        ids = [row_id for row_id, row in found.items() if writes.has(row, {match.name: value})]
        candidates, is_complete = list(found), len(found) < PAGE_ROWS
    if len(ids) > 1 or not (ids or is_complete):
        raise SeveralMatch(match.name, ids or candidates)
    return ids[0] if ids else None


async def _find_by_communication(writes: RecordWrites, match: Match) -> list[int]:
    """The ids of records with a phone or an e-mail address that the portal takes for the same.

    Source: methods.md 7 (b24restdocs api-reference/crm/duplicates/crm-duplicate-find-by-comm.md)
    """
    entity_type = SEARCHED[writes.record.entity_type_id]
    wanted = {"entity_type": entity_type, "type": match.name, "values": list(match.values)}
    result = (await writes.call(Command("crm.duplicate.findbycomm", wanted))).result
    hits = result.get(entity_type, []) if isinstance(result, dict) else result
    if not isinstance(hits, list):
        raise PortalBroken("duplicates that are no list")
    ids = (decode_integer(hit) for hit in hits)
    return [row_id for row_id in ids if row_id is not None][:PAGE_ROWS]


def _has_communication(row: Mapping[str, object], match: Match) -> bool:
    entries = row.get(match.name)
    values = (entry.get("VALUE") for entry in (entries if isinstance(entries, list) else ()) if isinstance(entry, dict))
    return any(comparable(match.name, str(value)) in match.values for value in values)
