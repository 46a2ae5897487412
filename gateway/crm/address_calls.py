"""The portal's calls for the addresses of one contact or company, which belong to its requisites.

Source: methods.md 7 (b24restdocs api-reference/crm/requisites/{addresses,universal,presets}/*.md)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import OutcomeUnknown, PortalBroken
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import ListCall, answer_of
from gateway.bitrix.protocol.v2 import Answer, Command
from gateway.bitrix.rows.records import decode_integer
from gateway.crm.address_bodies import AddressTypes
from gateway.crm.catalog import read_lists, sort_of
from gateway.crm.missing_records import naming
from gateway.crm.writes import ORIGINATOR, Call, created_id
from gateway.errors import StateConflict
from gateway.mirror.resources import RecordType, Resource, record_type

REQUISITE = 8  # the entity type of requisites
ADDRESS_FIELDS = Command("crm.address.fields")
TYPES = Command("crm.enum.addresstype")

# The types whose addresses a record also has in fields of its own, with the prefix of these fields.
# Source: methods.md 4, 7 (b24restdocs api-reference/crm/companies/crm-company-fields.md)
OWN_FIELDS = {1: "ADDRESS", 6: "REG_ADDRESS"}
# The columns of an address, and how the names of the record's own fields end.
OWN_COLUMNS = {
    "ADDRESS_1": "",
    "ADDRESS_2": "_2",
    **{
        name: f"_{name}"
        for name in ("CITY", "POSTAL_CODE", "REGION", "PROVINCE", "COUNTRY", "COUNTRY_CODE", "LOC_ADDR_ID")
    },
}


@dataclass(frozen=True)
class AddressKey:
    """What identifies an address: the number of its type, and its requisite."""

    type_id: int
    requisite_id: int

    @property
    def fields(self) -> dict[str, Any]:
        return {"TYPE_ID": self.type_id, "ENTITY_TYPE_ID": REQUISITE, "ENTITY_ID": self.requisite_id}

    @classmethod
    def of(cls, row: Row) -> "AddressKey":
        """
        Raises:
            PortalBroken: the row of an address has no key.
        """
        type_id, requisite_id = decode_integer(row.get("TYPE_ID")), decode_integer(row.get("ENTITY_ID"))
        if type_id is None or requisite_id is None:
            raise PortalBroken("an address without TYPE_ID or ENTITY_ID")
        return cls(type_id, requisite_id)


@dataclass(frozen=True)
class AddressCalls:
    """Reads the addresses of the record *row_id* of *resource* through *client*, and writes them by *call*.

    All methods raise PortalError.
    """

    client: PortalClient
    call: Call
    resource: Resource
    row_id: int

    @property
    def record(self) -> RecordType:
        return record_type(self.resource)

    async def check_record(self) -> None:
        """
        Raises:
            RecordNotFound: the portal does not have the record.
        """
        with naming(self.resource, self.row_id):
            await self.client.call(self.record.command("get", id=self.row_id))

    async def types(self) -> AddressTypes:
        """The types of addresses. Source: methods.md 7 (b24restdocs .../auxiliary/enum/crm-enum-address-type.md)"""
        return _decode_types(await self.client.call(TYPES))

    async def types_and_record(self) -> tuple[AddressTypes, Row]:
        """The types of addresses, and the record as its own method gives it."""
        types, got = await self.client.batch([TYPES, self.record.command("get", id=self.row_id)])
        with naming(self.resource, self.row_id):
            row = answer_of(got).result
        if not isinstance(row, dict):
            raise PortalBroken("a record is not an object")
        return _decode_types(answer_of(types)), row

    async def addresses(self) -> list[Row]:
        """The addresses of all requisites of the record."""
        (rows,) = await read_lists(self.client, [self._address_list])
        return self._own(rows)

    async def requisites(self) -> list[Row]:
        """The requisites of the record by ascending id."""
        (rows,) = await read_lists(self.client, [self._requisite_list])
        return rows

    async def requisites_and_addresses(self) -> tuple[list[Row], list[Row]]:
        """The requisites of the record by ascending id, and their addresses."""
        requisites, addresses = await read_lists(self.client, [self._requisite_list, self._address_list])
        return requisites, self._own(addresses)

    async def find(self, key: AddressKey) -> Row | None:
        """The address with this *key*; None if there is none."""
        return next((row for row in await self.addresses() if AddressKey.of(row) == key), None)

    async def first_preset(self) -> Row:
        """The first active preset of requisites, in the portal's order.

        Raises:
            StateConflict: the portal has none.
        """
        (rows,) = await read_lists(self.client, [ListCall("crm.requisite.preset.list")])
        active = [row for row in rows if row.get("ACTIVE") == "Y"]
        if not active:
            rule = "the portal has no preset from which requisites are made: add one to its settings of the CRM"
            raise StateConflict(rule, code="no_requisite_preset")
        return min(active, key=sort_of)

    async def add_requisite(self, preset: Row, origin: str) -> int:
        """Give the record a requisite that only holds addresses, and return its id. It is found by *origin*.

        Raises:
            OutcomeUnknown: it may have been added.
        """
        owner = {"ENTITY_TYPE_ID": self.record.entity_type_id, "ENTITY_ID": self.row_id}
        named = {"PRESET_ID": preset.get("ID"), "NAME": preset.get("NAME"), "ADDRESS_ONLY": "Y"}
        fields = {**owner, **named, "ORIGINATOR_ID": ORIGINATOR, "XML_ID": origin}
        with naming(self.resource, self.row_id):
            answer = await self.call(Command("crm.requisite.add", {"fields": fields}, write=True))
        requisite_id = created_id(answer.result)
        if requisite_id is None:
            raise OutcomeUnknown(PortalBroken("a created requisite without an id"))
        return requisite_id

    async def find_requisite(self, origin: str) -> int | None:
        """The id of the requisite that was added with *origin*, else of the first one; None if the record has none."""
        rows = await self.requisites()
        ours = [row for row in rows if row.get("XML_ID") == origin]
        return next((requisite_id_of(row) for row in ours or rows), None)

    async def write(self, action: str, key: AddressKey, values: Mapping[str, Any]) -> None:
        """Do *action*, ``add``, ``update`` or ``delete``, to an address.

        Raises:
            OutcomeUnknown: it may have been done.
        """
        fields = {**key.fields, **values}
        answer = await self.call(Command(f"crm.address.{action}", {"fields": fields}, write=True))
        if answer.result is not True:
            raise PortalBroken("a write that was not carried out")

    @property
    def _requisite_list(self) -> ListCall:
        owner = {"ENTITY_TYPE_ID": self.record.entity_type_id, "ENTITY_ID": self.row_id}
        return ListCall("crm.requisite.list", {"filter": owner})

    @property
    def _address_list(self) -> ListCall:
        anchor = {"ANCHOR_TYPE_ID": self.record.entity_type_id, "ANCHOR_ID": self.row_id}
        return ListCall("crm.address.list", {"filter": {"ENTITY_TYPE_ID": REQUISITE, **anchor}})

    def _own(self, rows: list[Row]) -> list[Row]:
        """Those of *rows* that belong to the record. A portal returns all rows if it does not know a filter."""
        anchor = (REQUISITE, self.record.entity_type_id, self.row_id)
        names = ("ENTITY_TYPE_ID", "ANCHOR_TYPE_ID", "ANCHOR_ID")
        return [row for row in rows if tuple(decode_integer(row.get(name)) for name in names) == anchor]


def requisite_id_of(row: Row) -> int:
    """The id of a requisite.

    Raises:
        PortalBroken: it has none.
    """
    requisite_id = decode_integer(row.get("ID"))
    if requisite_id is None:
        raise PortalBroken("a requisite without an id")
    return requisite_id


def own_addresses(record: Row) -> dict[int, Row]:
    """The addresses in the *record*'s own fields that are not empty, by type, with the columns of other addresses."""
    columns = {
        type_id: {column: record.get(prefix + end) for column, end in OWN_COLUMNS.items()}
        for type_id, prefix in OWN_FIELDS.items()
    }
    return {type_id: row for type_id, row in columns.items() if any(row.values())}


def has_values(row: Row, values: Mapping[str, Any]) -> bool:
    """Whether the address has all these *values*. The portal shows numbers as texts, and empty texts as null."""
    return all(str(row.get(name) or "").strip() == str(value or "").strip() for name, value in values.items())


def _decode_types(answer: Answer) -> AddressTypes:
    if not isinstance(answer.result, list):
        raise PortalBroken("the types of addresses are not a list")
    rows = [row for row in answer.result if isinstance(row, dict)]
    found = {decode_integer(row.get("ID")): str(row.get("NAME")).strip().lower() for row in rows}
    return AddressTypes({type_id: name for type_id, name in found.items() if type_id is not None})
