"""Writes CRM records: the rules that hold whichever method writes, old or crm.item."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from gateway.sandbox.content.catalog import COMPANY, CONTACT, DEAL, LEAD, QUOTE, SMART_INVOICE
from gateway.sandbox.content.client_bindings import bind_contacts, columns_of, read_bindings, remove_links
from gateway.sandbox.content.entities import MULTIFIELDS, Entity, Field
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.product_rows import remove_rows_of
from gateway.sandbox.content.record_files import file_ids
from gateway.sandbox.content.records import (
    BINDINGS,
    CREATED_COLUMNS,
    MODIFIED_COLUMNS,
    SEMANTICS,
    STAGES,
    blank_value,
    iso_time,
)
from gateway.sandbox.content.requisite_removal import remove_requisites_of
from gateway.sandbox.php import Value
from gateway.sandbox.tables.table import Row

BASE_CURRENCY = "RUB"
_DEFAULT_TERM_S = 7 * 86_400  # from BEGINDATE to CLOSEDATE
_CREATED_BY = ("CREATED_BY_ID", "CREATED_BY")
_MODIFIED_BY = ("MODIFY_BY_ID", "UPDATED_BY")
_MOVED_BY = ("MOVED_BY_ID", "MOVED_BY")
STAMPS = (*CREATED_COLUMNS, *MODIFIED_COLUMNS, *_CREATED_BY, *_MODIFIED_BY)
_KINDS = {LEAD: "Lead", DEAL: "Deal", COMPANY: "Company", QUOTE: "Quote", SMART_INVOICE: "Invoice"}
_EVENTS = {LEAD: "LEAD", DEAL: "DEAL", CONTACT: "CONTACT", COMPANY: "COMPANY", QUOTE: "QUOTE"}
_HAS = {"HAS_PHONE": "PHONE", "HAS_EMAIL": "EMAIL", "HAS_IMOL": "IM"}


@dataclass(frozen=True)
class RecordWriter:
    """Writes records of one *entity* for the user *user_id* at the portal's Unix time *now*.

    Values have the stored form, that of the old lists, except that a file may be a `NewFile`; names are those of the
    table's columns.
    """

    data: PortalData
    entity: Entity
    user_id: int
    now: float

    def add(self, values: Row) -> int:
        """Add a record with these columns, and defaults for the others. Return its id.

        Source: [docs] api-reference/crm/deals/crm-deal-add.md, crm/universal/crm-item-add.md
        """
        table = self.data.records[self.entity.type_id]
        row_id = table.next_id
        fields = list(self.entity.fields(self.data.userfields))
        values = self._with_saved_files(values)
        row = {field.name: blank_value(field) for field in fields} | {"ID": str(row_id)}
        row |= self._defaults(row, row_id, fields) | self._stamps(CREATED_COLUMNS, _CREATED_BY)
        row |= self._stamps((*MODIFIED_COLUMNS, "MOVED_TIME", "LAST_ACTIVITY_TIME"), (*_MODIFIED_BY, *_MOVED_BY))
        row |= values
        if self.entity.type_id == DEAL and str(row["CATEGORY_ID"]).startswith("-"):
            row["CATEGORY_ID"] = self.default_category
        row |= self._stage_of(row) | _bound(values, {}) | _has(row)
        self._write(row_id, {name: value for name, value in row.items() if name in self._columns})
        self._bind_contacts(row_id, values)
        self._record_event("ADD", row_id)
        return row_id

    def update(self, row_id: int, values: Row) -> None:
        """Change columns of a record. If none differs, nothing is saved. Files that leave it are deleted.

        Source: [docs] api-reference/crm/universal/crm-item-update.md
        """
        row = self.data.records[self.entity.type_id][row_id]
        values = self._with_saved_files(values)
        if self._binds_contacts(values):
            row |= columns_of(COMPANY, read_bindings(self.data, COMPANY, row_id))
        changed = {name: value for name, value in values.items() if row.get(name) != value}
        if not changed:
            return
        pairs = [pair for pair in BINDINGS.items() if not changed.keys().isdisjoint(pair)]
        changed |= {name: values[name] for pair in pairs for name in pair if name in values}
        new = row | changed | self._stamps((*MODIFIED_COLUMNS, "LAST_ACTIVITY_TIME"), (*_MODIFIED_BY,))
        new |= changed
        stage = self._stage_of(new)
        if any(row.get(name) != value for name, value in stage.items()):
            new |= stage | self._stamps(("MOVED_TIME",), _MOVED_BY)
            new["PREVIOUS_STAGE_ID"] = row.get("STAGE_ID")
        new |= _bound(changed, row) | _has(new)
        self._write(row_id, {name: value for name, value in new.items() if name in self._columns})
        self._bind_contacts(row_id, changed)
        self.data.record_files.remove(self._files_of(row) - self._files_of(new))
        if self.entity.type_id == DEAL and "CATEGORY_ID" in changed:
            place = {"CATEGORY_ID": new["CATEGORY_ID"], "STAGE_ID": new["STAGE_ID"]}
            self._record_event("MOVETOCATEGORY", row_id, **place)
        else:
            self._record_event("UPDATE", row_id)

    def delete(self, row_id: int) -> None:
        """Delete a record with its files, its requisites, its product rows and the links to it."""
        self.data.record_files.remove(self._files_of(self.data.records[self.entity.type_id].pop(row_id)))
        remove_requisites_of(self.data, self.entity.type_id, row_id)
        remove_rows_of(self.data, self.entity.type_id, row_id)
        remove_links(self.data, self.entity.type_id, row_id)
        self._record_event("DELETE", row_id)

    def first_stage(self, category_id: str) -> str | None:
        """The first stage of a pipeline; None if the entity has no stages."""
        return next(iter(self.stages(category_id)), None)

    def stages(self, category_id: str) -> list[str]:
        """The stages of a pipeline in their order, as their STATUS_ID."""
        field = self._stage_field
        if field is None:
            return []
        directory = field.values
        if self.entity.type_id == DEAL:
            directory = "DEAL_STAGE" if category_id in ("0", "") else f"DEAL_STAGE_{category_id}"
        elif self._has_pipelines:
            directory = directory.rstrip("0123456789") + category_id
        return self._codes(directory)

    @property
    def categories(self) -> set[str]:
        """The ids of the pipelines."""
        return {str(category_id) for category_id in self.data.categories.get(self.entity.type_id, ())}

    @property
    def default_category(self) -> str:
        """The id of the default pipeline."""
        rows = self.data.categories.get(self.entity.type_id, {}).values()
        return next((str(row["id"]) for row in rows if row["isDefault"] == "Y"), "0")

    @property
    def _kind(self) -> str:
        """What the default title of a record begins with."""
        titles = {row["entityTypeId"]: row["title"] for row in self.data.types.values()}
        return str(_KINDS.get(self.entity.type_id) or titles.get(self.entity.type_id))

    @cached_property  # a writer serves one call, during which the fields stay
    def _columns(self) -> set[str]:
        return {field.name for field in self.entity.fields(self.data.userfields)}

    @property
    def _has_pipelines(self) -> bool:
        return any(field.name == "CATEGORY_ID" for field in self.entity.own_fields)

    @property
    def _stage_field(self) -> Field | None:
        return next((field for field in self.entity.own_fields if field.name in STAGES and field.values), None)

    def _codes(self, directory: str) -> list[str]:
        rows = [row for row in self.data.statuses.values() if row["ENTITY_ID"] == directory]
        return [row["STATUS_ID"] for row in sorted(rows, key=lambda row: int(row["SORT"]))]

    def _defaults(self, row: Row, row_id: int, fields: Iterable[Field]) -> Row:
        today_s = int(self.now - self.now % 86_400)
        values: Row = {
            "TITLE": f"{self._kind} #{row_id}",
            "QUOTE_NUMBER": str(row_id),
            "ACCOUNT_NUMBER": str(row_id),
            "OPENED": "Y",
            "ASSIGNED_BY_ID": str(self.user_id),
            "CURRENCY_ID": BASE_CURRENCY,
            "CATEGORY_ID": self.default_category,
            "LAST_ACTIVITY_BY": str(self.user_id),
            "BEGINDATE": iso_time(today_s),
            "CLOSEDATE": iso_time(today_s + _DEFAULT_TERM_S),
            "IS_NEW": "Y",
        }
        for field in fields:
            if field.name in ("TYPE_ID", "SOURCE_ID") and self.entity.type_id == DEAL:
                values[field.name] = next(iter(self._codes(field.values)), None)
        return {name: value for name, value in values.items() if name in row}

    def _stamps(self, times: Iterable[str], people: Iterable[str]) -> Row:
        stamps = dict.fromkeys(times, iso_time(int(self.now))) | dict.fromkeys(people, str(self.user_id))
        return {name: value for name, value in stamps.items() if name in self._columns}

    def _stage_of(self, row: Mapping[str, Value]) -> Row:
        """The stage of *row* with what follows from it. A stage outside the pipeline becomes the first one."""
        field = self._stage_field
        if field is None:
            return {}
        stages = self.stages(str(row.get("CATEGORY_ID") or "0"))
        stage = row[field.name] if row[field.name] in stages else next(iter(stages), None)
        statuses = self.data.statuses.values()
        semantics = next((status["SEMANTICS"] for status in statuses if status["STATUS_ID"] == stage), None) or "P"
        derived = {**dict.fromkeys(SEMANTICS, semantics), "CLOSED": "N" if semantics == "P" else "Y"}
        if self.entity.type_id == DEAL:
            derived["IS_NEW"] = "NY"[stage == next(iter(stages), None)]
        return {field.name: stage, **{name: value for name, value in derived.items() if name in self._columns}}

    def _record_event(self, action: str, row_id: int, **further: str) -> None:
        """Source: [docs] api-reference/crm/deals/events/index.md and its siblings, crm/universal/events/index.md"""
        type_id = self.entity.type_id
        fields = {"ID": str(row_id), **further}
        if type_id not in _EVENTS:
            fields["ENTITY_TYPE_ID"] = str(type_id)
        name = f"ONCRM{_EVENTS.get(type_id, 'DYNAMICITEM')}{action}"
        self.data.events.record(name, {"FIELDS": fields}, self.now, self.user_id)

    def _files_of(self, row: Mapping[str, Value]) -> set[str]:
        return file_ids(row, self.entity.fields(self.data.userfields)) if self.data.record_files else set()

    def _with_saved_files(self, values: Row) -> Row:
        return {name: self.data.record_files.save(value) for name, value in values.items()}

    def _write(self, row_id: int, row: Row) -> None:
        self.data.write(self.entity.table, row_id, row, self.now)

    def _bind_contacts(self, row_id: int, values: Mapping[str, Value]) -> None:
        if self._binds_contacts(values):
            bind_contacts(self.data, row_id, map(int, values["CONTACT_ID"]))

    def _binds_contacts(self, values: Mapping[str, Value]) -> bool:
        """Whether these values of a company name its contacts, who hold the relation."""
        return self.entity.type_id == COMPANY and "CONTACT_ID" in values


def _bound(values: Mapping[str, Value], row: Mapping[str, Value]) -> Row:
    """The first binding and the set of all bindings, whichever of them was written."""
    found: Row = {}
    for first, every in BINDINGS.items():
        if every in values:
            if values.get(first) in values[every]:
                continue
            found[first] = next(iter(values[every]), None)
        elif first in values:
            replaced = (row.get(first), values[first])
            others = [record_id for record_id in row.get(every) or [] if record_id not in replaced]
            found[every] = [*([values[first]] if values[first] else []), *others]
    return found


def _has(row: Mapping[str, Value]) -> Row:
    return {flag: "NY"[bool(row.get(name))] for flag, name in _HAS.items() if flag in row and name in MULTIFIELDS}
