"""The calls that create, change and delete one record, and those that show whether they were carried out."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.bitrix.errors import OutcomeUnknown, PortalBroken, RecordNotFound
from gateway.bitrix.lists.list_fields import MULTIFIELD, Field
from gateway.bitrix.lists.list_specs import LIST_SPECS, Row
from gateway.bitrix.protocol.v2 import Answer, Command
from gateway.bitrix.rows.records import decode_integer, decode_time
from gateway.crm.bodies import Written
from gateway.crm.multifields import added, changes, unknown_ids
from gateway.errors import InvalidInput
from gateway.mirror.resources import RecordType

Call = Callable[[Command], Awaitable[Answer]]

ORIGINATOR = "bitrix-gateway"
CLASSIC_ORIGIN = ("ORIGINATOR_ID", "ORIGIN_ID")
ITEM_ORIGIN = ("xmlId",)


@dataclass(frozen=True)
class RecordWrites:
    """Writes records of one type. *call* calls their portal. *fields* are those that it describes."""

    call: Call
    record: RecordType
    fields: Mapping[str, Field]

    def with_origin(self, written: Written, origin: str) -> dict[str, Any]:
        """The values of a new record. It gets the key *origin*, by which it is found, unless the caller gave one.

        Source: methods.md 4.1, 5.5 (b24restdocs api-reference/crm/universal/object-fields.md)
        """
        values = {name: value for name, value in written.values.items() if value not in ("", [])}
        values |= {name: added(wanted) for name, wanted in written.multifields.items() if wanted}
        if self.has_origin(written):
            return values
        return {name: ORIGINATOR if name == "ORIGINATOR_ID" else origin for name in self.origin_fields} | values

    def has_origin(self, written: Written) -> bool:
        """Whether the caller gave the new record a key, ORIGIN_ID or xmlId. ORIGINATOR_ID alone is none."""
        return any(written.values.get(name) for name in self.origin_fields[-1:])

    @property
    def origin_fields(self) -> tuple[str, ...]:
        """The fields that hold the key of a record in another system; none if its type has none."""
        names = ITEM_ORIGIN if self.record.is_item else CLASSIC_ORIGIN
        return names if all(name in self.fields for name in names) else ()

    async def add(self, values: Mapping[str, Any]) -> int:
        """Create a record and return its id.

        Raises:
            PortalError: the portal refused it; OutcomeUnknown if it may have been created.
        """
        answer = await self.call(self.record.command("add", write=True, fields=values))
        row_id = created_id(answer.result)
        if row_id is None:
            raise OutcomeUnknown(PortalBroken("a created record without an id"))
        return row_id

    async def find_created(self, values: Mapping[str, Any]) -> int | None:
        """The id of the record that was created with *values*, whose origin is ours; None if there is none.

        Raises:
            PortalError: the portal cannot be asked.
        """
        return next(iter(await self._find_by_origin(values)), None)

    async def find_created_as_given(self, values: Mapping[str, Any]) -> int | None:
        """As `find_created`, where the origin is the caller's, and other records may have it too.

        Raises:
            PortalError: the portal cannot be asked. OutcomeUnknown: a record with the origin differs from *values*, so
                that it may be another one.
        """
        row_ids = await self._find_by_origin(values)
        for row_id in row_ids:
            if await self.is_written(row_id, values):
                return row_id
        if row_ids:
            raise OutcomeUnknown(PortalBroken("a record with this origin exists, and has other values"))
        return None

    async def _find_by_origin(self, values: Mapping[str, Any]) -> list[int]:
        """The ids of the records with the origin in *values*, in ascending order."""
        return list(await self.find_rows({name: values[name] for name in self.origin_fields if name in values}))

    async def find_rows(self, conditions: Mapping[str, Any], *select: str) -> dict[int, Row]:
        """The first PAGE_ROWS records with these *conditions* by id, each with the fields *select* and its id.

        Raises:
            PortalError: the portal refused.
        """
        key = self.record.names.id
        listed = self.record.command("list", filter=conditions, select=[key, *select], order={key: "ASC"}, start=-1)
        return dict(LIST_SPECS[listed.method].rows(await self.call(listed)))

    async def get(self, row_id: int) -> dict[str, Any]:
        """The record as its own method gives it.

        Raises:
            PortalError: the portal does not have it, or refused to show it.
        """
        result = (await self.call(self.record.command("get", id=row_id))).result
        row = result.get("item") if self.record.is_item and isinstance(result, dict) else result
        if not isinstance(row, dict):
            raise PortalBroken("a record is not an object")
        return row

    async def update(self, row_id: int, written: Written) -> None:
        """Change a record.

        Raises:
            InvalidInput: a value of a multifield has the id of none of the record's values.
            PortalError: the portal refused it; OutcomeUnknown if the record may have been changed.
        """
        values = dict(written.values)
        if written.multifields:
            row = await self.get(row_id)
            current = {name: row.get(name) or [] for name in written.multifields}
            fields = written.multifields.items()
            if errors := [error for name, wanted in fields for error in unknown_ids(current[name], wanted)]:
                raise InvalidInput.of_errors(errors)
            values |= {name: changes(current[name], wanted) for name, wanted in fields}
        await self._do("update", id=row_id, fields=values)

    async def is_changed(self, row_id: int, written: Written) -> bool:
        """Whether the record has all that was *written*."""
        row = await self.get(row_id)
        return self.has(row, written.values) and all(
            not changes(row.get(name) or [], wanted) for name, wanted in written.multifields.items()
        )

    async def is_written(self, row_id: int, values: Mapping[str, Any]) -> bool:
        """Whether the record has the *values* of the fields that are not multifields."""
        return self.has(await self.get(row_id), values)

    async def delete(self, row_id: int) -> None:
        """Delete a record.

        Raises:
            PortalError: the portal refused it; OutcomeUnknown if the record may have been deleted.
        """
        await self._do("delete", id=row_id)

    async def is_deleted(self, row_id: int) -> bool:
        """Whether the portal has no such record."""
        try:
            await self.get(row_id)
        except RecordNotFound:
            return True
        return False

    async def _do(self, action: str, **params: object) -> None:
        result = (await self.call(self._command(action, params))).result
        if result is False or (isinstance(result, dict) and result.get("result") is False):
            raise PortalBroken("a write that was not carried out")

    def _command(self, action: str, params: Mapping[str, object]) -> Command:
        return self.record.command(action, write=True, **params)

    def has(self, row: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
        """Whether *row* has these values, in whatever form its method gives them."""
        return all(
            _normal(row.get(name), self.fields.get(name)) == _normal(value, self.fields.get(name))
            for name, value in values.items()
            if name not in self.fields or self.fields[name].type != MULTIFIELD
        )


def created_id(result: object) -> int | None:
    """The id in the answer to a method that creates: ``1823``, ``{"id": 1823}`` or ``{"item": {"id": 1823}}``."""
    if isinstance(result, dict):
        nested = result.get("item", result)
        result = nested.get("id") if isinstance(nested, dict) else None
    return decode_integer(result)


def _normal(value: Any, field: Field | None) -> object:
    """A value in a form that does not depend on the method: numbers as numbers, times as instants, empty as None."""
    if value in (None, "", False, [], {}):
        return None
    if isinstance(value, list):
        return [_normal(item, field) for item in value]
    kind = "" if field is None else field.type
    if value is True or (kind in ("char", "boolean") and value in ("Y", "1", 1)):
        return "Y"
    if kind in ("char", "boolean") and value in ("N", "0", 0):
        return None
    if kind == "date":
        return str(value)[:10]
    if kind == "datetime" and (moment := decode_time(value)) is not None:
        return moment
    try:
        return float(value) or None
    except (TypeError, ValueError):
        return str(value)
