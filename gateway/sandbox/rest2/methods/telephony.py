"""telephony.externalCall.register: a call of an external telephone system, linked to the CRM."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime

from gateway.sandbox.content.catalog import COMPANY, CONTACT, LEAD
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.records import multivalue
from gateway.sandbox.errors import CallError, wrong_auth_type
from gateway.sandbox.php import Value, as_number, is_array
from gateway.sandbox.rest2.method import Answer, Call, Method
from gateway.sandbox.tables.table import Row

_REPEATED_S = 30 * 60
_ENTITIES = {"CONTACT": CONTACT, "COMPANY": COMPANY, "LEAD": LEAD}
_PHONE = re.compile(r"[+\d\s().*#,;-]*\d[+\d\s().*#,;-]*")


def register_call(call: Call) -> Answer:
    """Register a call. Within half an hour the same call gets the same id.

    Without an object of the CRM, the call belongs to the first contact, company or lead with its number. With
    ``CRM_CREATE`` a lead is created if there is none.
    Source: [docs] api-reference/telephony/telephony-external-call-register.md
    """
    if not call.caller.is_application:
        raise wrong_auth_type()
    sent = {name.upper(): value for name, value in call.sent.items() if not is_array(value)}
    _check(sent)
    user_id = _user_of(sent, call.data)
    names = ("PHONE_NUMBER", "TYPE", "LINE_NUMBER", "EXTERNAL_CALL_ID")
    key = "|".join((call.caller.client, str(user_id), *(str(sent.get(name, "")) for name in names)))
    registered = call.data.calls.get(key)
    if registered is None or call.now - registered["at"] >= _REPEATED_S:
        digest = hashlib.md5(f"{key} {call.now}".encode(), usedforsecurity=False).hexdigest()
        call_id = f"externalCall.{digest}.{int(call.now)}"
        registered = {"at": call.now, "answer": {"CALL_ID": call_id, **_link(sent, call, user_id)}}
        call.data.calls[key] = registered
    return Answer(registered["answer"])


def _check(sent: Mapping[str, Value]) -> None:
    if not sent.get("USER_ID") and not sent.get("USER_PHONE_INNER"):
        raise _wrong("USER_ID or USER_PHONE_INNER should be set.")
    if str(sent.get("TYPE")) not in ("1", "2", "3", "4", "5"):
        raise _wrong("Unknown TYPE")
    if not _PHONE.fullmatch(str(sent.get("PHONE_NUMBER", ""))):
        raise _wrong("Unsupported phone number format.")
    if start := sent.get("CALL_START_DATE"):
        try:
            datetime.fromisoformat(str(start))
        except ValueError:
            raise _wrong("CALL_START_DATE should be in the ISO-8601 format.") from None


def _user_of(sent: Mapping[str, Value], data: PortalData) -> int:
    user_id = int(as_number(sent.get("USER_ID")))
    if not user_id:
        inner = str(sent["USER_PHONE_INNER"])
        user_id = next((number for number, row in data.users.items() if row.get("UF_PHONE_INNER") == inner), 0)
    if user_id not in data.users or not data.users[user_id]["ACTIVE"]:
        raise _wrong("User is not found or is not active.")
    return user_id


def _link(sent: Mapping[str, Value], call: Call, user_id: int) -> Row:
    """The objects of the CRM that belong to the call."""
    kind, entity_id = str(sent.get("CRM_ENTITY_TYPE", "")).upper(), int(as_number(sent.get("CRM_ENTITY_ID")))
    if kind not in _ENTITIES or not entity_id:
        kind, entity_id = _find(str(sent["PHONE_NUMBER"]), call.data)
    created = None
    if not entity_id and as_number(sent.get("CRM_CREATE")) == 1:
        kind, entity_id = "LEAD", _create_lead(sent, call, user_id)
        created = entity_id
    return {
        "CRM_CREATED_LEAD": created,
        "CRM_CREATED_ENTITIES": [{"ENTITY_TYPE": kind, "ENTITY_ID": created}] if created else [],
        "CRM_ENTITY_TYPE": kind or None,
        "CRM_ENTITY_ID": entity_id or None,
    }


def _find(phone: str, data: PortalData) -> tuple[str, int]:
    """The first object with the phone number, ``("", 0)`` if there is none."""
    wanted = _digits(phone)

    def matches(row: Mapping[str, Value]) -> bool:
        return any(_digits(value["VALUE"]) == wanted for value in row["PHONE"] or [])

    for kind, type_id in _ENTITIES.items():
        table = data.records[type_id]
        for entity_id in table.matching_ids(table, matches, frozenset({"PHONE"})):
            return kind, entity_id
    return "", 0


def _digits(phone: str) -> str:
    return re.sub(r"\D", "", phone)


def _create_lead(sent: Mapping[str, Value], call: Call, user_id: int) -> int:
    lead_id, phone = call.data.records[LEAD].next_id, str(sent["PHONE_NUMBER"])
    columns = {
        "TITLE": phone,
        "HAS_PHONE": "Y",
        "PHONE": [multivalue(2 * lead_id, "PHONE", phone)],
        "SOURCE_ID": str(sent.get("CRM_SOURCE") or "CALL"),
        **dict.fromkeys(("ASSIGNED_BY_ID", "CREATED_BY_ID", "MODIFY_BY_ID"), str(user_id)),
    }
    call.data.write("leads", lead_id, columns, call.now)
    call.data.events.record("ONCRMLEADADD", {"FIELDS": {"ID": str(lead_id)}}, call.now, user_id)
    return lead_id


def _wrong(text: str) -> CallError:
    return CallError("ERROR_CORE", text)


METHODS = (Method("telephony.externalcall.register", register_call, ("telephony",)),)
