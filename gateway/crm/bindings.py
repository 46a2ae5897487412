"""The contacts of leads, deals, companies and quotes, and the companies of contacts.

Source: methods.md 4.4 (b24restdocs api-reference/crm/{leads,deals,companies,contacts,quote}/)
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.protocol.v2 import Command
from gateway.bitrix.rows.records import decode_integer
from gateway.crm.missing_records import naming
from gateway.crm.writes import Call
from gateway.mirror.resources import RECORDS, Resource, record_type


@dataclass(frozen=True)
class BindingType:
    """The records of *bound* that a record of *owner* is bound to.

    All methods begin with *prefix*, and name the bound record by *key*. *mutual*: the bound records show it too.
    """

    owner: Resource
    bound: Resource
    prefix: str
    key: str
    mutual: bool

    def command(self, action: str, *, write: bool = False, **params: object) -> Command:
        """The command that does *action*, such as ``items.get``."""
        return Command(f"{self.prefix}.{action}", params, write=write)


def _binding_type(owner: str, bound: str, singular: str, *, mutual: bool = False) -> BindingType:
    prefix = f"{record_type(RECORDS[owner]).prefix}.{singular}"
    return BindingType(RECORDS[owner], RECORDS[bound], prefix, f"{singular.upper()}_ID", mutual)


BINDING_TYPES = {
    (kind.owner.name, kind.bound.name): kind
    for kind in (
        _binding_type("leads", "contacts", "contact"),
        _binding_type("deals", "contacts", "contact"),
        _binding_type("quotes", "contacts", "contact"),
        _binding_type("companies", "contacts", "contact", mutual=True),
        _binding_type("contacts", "companies", "company", mutual=True),
    )
}


@dataclass(frozen=True)
class Binding:
    """A record that another one is bound to. *sort* is its place among the bindings."""

    record_id: int
    primary: bool
    sort: int


@dataclass(frozen=True)
class WantedBinding:
    """A binding that a caller wants; its *sort* is None if the caller does not care."""

    record_id: int
    primary: bool = False
    sort: int | None = None

    def is_met_by(self, binding: Binding | None) -> bool:
        """Whether *binding* is the wanted one. It may be the primary one without being asked to."""
        if binding is None or binding.record_id != self.record_id:
            return False
        return self.sort in (None, binding.sort) and (binding.primary or not self.primary)


@dataclass(frozen=True)
class Bindings:
    """Reads and changes the bindings of one record. *call* calls its portal. All methods raise PortalError."""

    call: Call
    kind: BindingType
    owner_id: int

    async def read(self) -> dict[int, Binding]:
        """The bindings by the id of the bound record, in the portal's order."""
        with naming(self.kind.owner, self.owner_id):
            result = (await self.call(self.kind.command("items.get", id=self.owner_id))).result
        if not isinstance(result, list):
            raise PortalBroken("the bindings are not a list")
        bindings = [self._decode(row) for row in result]
        return {binding.record_id: binding for binding in bindings}

    async def check_exists(self, record_id: int) -> None:
        """
        Raises:
            RecordNotFound: the portal does not have the record to bind.
        """
        with naming(self.kind.bound, record_id):
            await self.call(record_type(self.kind.bound).command("get", id=record_id))

    async def add(self, wanted: WantedBinding) -> None:
        """Bind one more record. Nothing changes if it is bound already."""
        fields: dict[str, object] = {self.kind.key: wanted.record_id}
        if wanted.sort is not None:
            fields["SORT"] = wanted.sort
        if wanted.primary:
            fields["IS_PRIMARY"] = "Y"
        await self.call(self.kind.command("add", write=True, id=self.owner_id, fields=fields))

    async def change(self, bindings: Mapping[int, Binding], wanted: WantedBinding) -> None:
        """Store *bindings* again, with the sort and the primary one that are *wanted*."""
        items = []
        for binding in bindings.values():
            is_wanted = binding.record_id == wanted.record_id
            primary = is_wanted if wanted.primary else binding.primary
            sort = wanted.sort if is_wanted and wanted.sort is not None else binding.sort
            items.append({self.kind.key: binding.record_id, "SORT": sort, "IS_PRIMARY": "Y" if primary else "N"})
        await self.call(self.kind.command("items.set", write=True, id=self.owner_id, items=items))

    async def remove(self, record_id: int) -> None:
        """Remove the binding to a record. Nothing changes if there is none."""
        fields = {self.kind.key: record_id}
        await self.call(self.kind.command("delete", write=True, id=self.owner_id, fields=fields))

    def _decode(self, row: object) -> Binding:
        if not isinstance(row, dict):
            raise PortalBroken("a binding is not an object")
        record_id, sort = decode_integer(row.get(self.kind.key)), decode_integer(row.get("SORT"))
        if record_id is None or sort is None:
            raise PortalBroken(f"a binding without {self.kind.key} or SORT")
        return Binding(record_id, row.get("IS_PRIMARY") == "Y", sort)
