"""Decode the columns by which records of the CRM are found. The records themselves keep the portal's form."""

from dataclasses import dataclass
from datetime import datetime

from gateway.bitrix.lists.list_specs import Row


@dataclass(frozen=True)
class RecordNames:
    """The names of those columns in the rows of one list; None if its records do not have the column.

    *id* is the portal's own. *modified* is the time of the last change. *pipeline* and *stage* are the place in a
    pipeline, *person* is the responsible user, *contact* and *company* the first related ones.
    """

    id: str
    modified: str
    pipeline: str | None
    stage: str | None
    person: str
    contact: str | None
    company: str | None

    def decode(self, row: Row) -> tuple[int | None, str | None, int | None, int | None, int | None, int | None]:
        """The pipeline, stage, person, contact and company of *row*, and its Unix time of modification."""
        get = row.get
        stage = None if self.stage is None else get(self.stage)
        return (
            None if self.pipeline is None else decode_integer(get(self.pipeline)),
            stage if type(stage) is str and stage else None,
            decode_integer(get(self.person)),
            None if self.contact is None else decode_integer(get(self.contact)),
            None if self.company is None else decode_integer(get(self.company)),
            decode_time(get(self.modified)),
        )


MAX_INTEGER_CHARACTERS = 18  # fit 64 bits


def decode_integer(value: object) -> int | None:
    """The integer that *value* is or spells; None if it is empty or anything else.

    Classic methods send digits, crm.item numbers. Source: protocol.md 3.2 (b24restdocs api-reference/data-types.md)
    """
    if type(value) is int:
        return value if abs(value) < 2**63 else None
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= MAX_INTEGER_CHARACTERS:
        return int(value)
    return None


def decode_time(value: object) -> int | None:
    """The Unix time of an ISO date and time with an offset; None if *value* is empty or anything else.

    Source: protocol.md 3.2 (b24restdocs api-reference/data-types.md)
    """
    if type(value) is not str:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return None if moment.tzinfo is None else int(moment.timestamp())
    except (ValueError, OverflowError):
        return None
