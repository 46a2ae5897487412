"""What a portal posts to the handler of a placement that a person has opened; no I/O.

Source: methods.md 10.1, 10.3; protocol.md 14 (b24restdocs api-reference/widgets/, settings/oauth/simple-way.md)
"""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import orjson

MAX_FIELDS = 100  # usually ten
ENTITY_KEYS = ("ID", "ENTITY_ID")  # of PLACEMENT_OPTIONS; each placement has one of them, or none
ENTITY_ID = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


@dataclass(frozen=True)
class OpenedPlacement:
    """A *placement* that was opened, the portal *member_id*, and the *access_token* of the person who opened it.

    *entity_id* is the record whose page shows the placement; None if it is not of one record. Nothing is verified.
    """

    access_token: str = field(repr=False)
    member_id: str
    placement: str
    entity_id: str | None


def decode_opened_placement(body: bytes) -> OpenedPlacement:
    """Return the placement in a form that a portal has posted.

    Raises:
        ValueError: a field is missing or repeated, or the body is not such a form; the text has no value of it.
    """
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError as error:
        raise ValueError("the body is not in UTF-8") from error
    except ValueError as error:
        raise ValueError(f"the body has more than {MAX_FIELDS} fields") from error
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field is repeated")
    for name in ("AUTH_ID", "member_id", "PLACEMENT"):
        if not fields.get(name):
            raise ValueError(f"{name} is missing")
    return OpenedPlacement(
        fields["AUTH_ID"], fields["member_id"], fields["PLACEMENT"], _entity_id(fields.get("PLACEMENT_OPTIONS", ""))
    )


def _entity_id(options: str) -> str | None:
    """The id of a record in PLACEMENT_OPTIONS, which are optional, and ``[]`` if there are none."""
    try:
        decoded = orjson.loads(options)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(decoded, dict):
        return None
    value = next((decoded[key] for key in ENTITY_KEYS if key in decoded), None)
    return record_id(value)


def record_id(value: object) -> str | None:
    """Return the id of a record or a user as text; None if *value* is no such id, in JSON a string or a number."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)
    return text if ENTITY_ID.fullmatch(text) else None
