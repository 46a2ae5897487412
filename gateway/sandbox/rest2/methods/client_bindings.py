"""crm.{lead,deal,company,quote}.contact.* and crm.contact.company.*: the contacts and companies of a record."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from gateway.sandbox.content.catalog import COMPANY, CONTACT, DEAL, LEAD, QUOTE
from gateway.sandbox.content.client_bindings import SORT_STEP, Binding, columns_of, read_bindings
from gateway.sandbox.content.record_writer import RecordWriter
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_number, entries_of, is_array
from gateway.sandbox.rest2.descriptions import describe
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
from gateway.sandbox.rest2.methods.classic import positive, refuse

_TITLES = {"SORT": "Sorting", "IS_PRIMARY": "Primary", "CONTACT_ID": "Contact", "COMPANY_ID": "Company"}


@dataclass(frozen=True)
class Bindings:
    """The methods of one kind of owner. *bound_type* is the entity type that it is bound to."""

    owner: str
    type_id: int
    bound: str
    bound_type: int

    def methods(self) -> Iterable[Method]:
        """The declarations of the six methods."""
        prefix, row_id = f"crm.{self.owner}.{self.bound}", Param("id")
        declared: tuple[tuple[str, Callable[[Call], Answer], tuple[Param, ...]], ...] = (
            ("fields", self.describe_fields, ()),
            ("add", self.add, (row_id, Param("fields"))),
            ("delete", self.delete, (row_id, Param("fields"))),
            ("items.get", self.get_all, (row_id,)),
            ("items.set", self.set_all, (row_id, Param("items"))),
            ("items.delete", self.delete_all, (row_id,)),
        )
        return (Method(f"{prefix}.{name}", run, ("crm",), params) for name, run, params in declared)

    @property
    def key(self) -> str:
        """The field that names the bound record."""
        return f"{self.bound.upper()}_ID"

    def describe_fields(self, _call: Call) -> Answer:
        """Return the fields of a binding.

        Source: [docs] api-reference/crm/deals/contacts/crm-deal-contact-fields.md and its siblings
        """
        fields = describe(f"SORT integer; IS_PRIMARY char; {self.key} integer/*")
        return Answer({name: {**row, "title": _TITLES[name]} for name, row in fields.items()})

    def add(self, call: Call) -> Answer:
        """Bind one more record. Return whether it was not bound before.

        Source: [docs] api-reference/crm/deals/contacts/crm-deal-contact-add.md and its siblings
        """
        owner_id = self._owner_id(call, "'ownerEntityID'")
        fields = _array(call.params.get("fields"), "'fields'")
        record_id = self._record_id(fields)
        bindings = self._bindings(call, owner_id)
        if any(binding.record_id == record_id for binding in bindings):
            return Answer(False)
        self._check_bound(call, record_id)
        made = self._made(fields, record_id, bindings)
        self._save(call, owner_id, [made, *bindings] if made.is_primary else [*bindings, made])
        return Answer(True)

    def delete(self, call: Call) -> Answer:
        """Remove one binding. Return whether there was one.

        Source: [docs] api-reference/crm/deals/contacts/crm-deal-contact-delete.md and its siblings
        """
        owner_id = self._owner_id(call, "'ownerEntityID'")
        record_id = self._record_id(_array(call.params.get("fields"), "'item'"))
        bindings = self._bindings(call, owner_id)
        left = [binding for binding in bindings if binding.record_id != record_id]
        if len(left) == len(bindings):
            return Answer(False)
        self._save(call, owner_id, left)
        return Answer(True)

    def get_all(self, call: Call) -> Answer:
        """Return all bindings of an owner, by their sort numbers.

        Source: [docs] api-reference/crm/deals/contacts/crm-deal-contact-items-get.md and its siblings
        """
        bindings = self._bindings(call, self._owner_id(call, "ownerEntityID"))
        return Answer(
            [
                {
                    self.key: binding.record_id,
                    "SORT": binding.sort,
                    "ROLE_ID": 0,
                    "IS_PRIMARY": "NY"[binding.is_primary],
                }
                for binding in bindings
            ]
        )

    def set_all(self, call: Call) -> Answer:
        """Replace all bindings. The first item with ``IS_PRIMARY`` is the primary one, else the first item.

        Source: [docs] api-reference/crm/deals/contacts/crm-deal-contact-items-set.md and its siblings
        """
        owner_id = self._owner_id(call, "ownerEntityID")
        items = _array(call.params.get("items"), "items").values()
        bound = self._bindings(call, owner_id)
        bindings: list[Binding] = []
        for fields in map(entries_of, filter(is_array, items)):
            record_id = positive(fields.get(self.key))
            if not record_id or any(binding.record_id == record_id for binding in bindings):
                continue
            self._check_bound(call, record_id)
            known = next((binding.sort for binding in bound if binding.record_id == record_id), None)
            bindings.append(self._made(fields, record_id, [*bound, *bindings], known))
        self._save(call, owner_id, bindings)
        return Answer(True)

    def delete_all(self, call: Call) -> Answer:
        """Remove all bindings.

        Source: [docs] api-reference/crm/deals/contacts/crm-deal-contact-items-delete.md and its siblings
        """
        owner_id = self._owner_id(call, "ownerEntityID")
        self._bindings(call, owner_id)
        self._save(call, owner_id, [])
        return Answer(True)

    def _owner_id(self, call: Call, name: str) -> int:
        owner_id = positive(call.params.get("id"))
        if not owner_id:
            refuse(f"The parameter {name} is invalid or not defined.")
        return owner_id

    def _bindings(self, call: Call, owner_id: int) -> list[Binding]:
        """The bindings of an owner that the caller may use."""
        if self.type_id in call.data.denied:
            raise CallError("ACCESS_DENIED", "Access denied!", 403 if self.type_id == QUOTE else 400)
        if owner_id not in call.data.records[self.type_id]:
            raise CallError("NOT_FOUND" if self.type_id == LEAD else "", "Not found.")
        return read_bindings(call.data, self.type_id, owner_id)

    def _record_id(self, fields: dict[str, Value]) -> int:
        record_id = positive(fields.get(self.key))
        if not record_id:
            refuse("The parameter 'fields' is not valid.")
        return record_id

    def _check_bound(self, call: Call, record_id: int) -> None:
        """Check that the record exists and the caller may read it."""
        if self.bound_type in call.data.denied or record_id not in call.data.records[self.bound_type]:
            refuse(f"[{self.bound.capitalize()} #{record_id}] You do not have permission to view this item")

    def _made(
        self, fields: dict[str, Value], record_id: int, others: Iterable[Binding], known: int | None = None
    ) -> Binding:
        """A binding as *fields* describe it. Without ``SORT`` it has the *known* number or comes after the *others*."""
        sort = max((other.sort for other in others), default=0) + SORT_STEP if known is None else known
        if fields.get("SORT") not in (None, ""):
            sort = int(as_number(fields["SORT"]))
        return Binding(record_id, sort, str(fields.get("IS_PRIMARY")).upper() == "Y")

    def _save(self, call: Call, owner_id: int, bindings: list[Binding]) -> None:
        """Store the bindings. The first primary one keeps the flag; without any, the first binding gets it."""
        primary = next((binding for binding in bindings if binding.is_primary), next(iter(bindings), None))
        kept = [replace(binding, is_primary=binding is primary) for binding in bindings]
        call.data.binding_sorts[self.type_id, owner_id] = {binding.record_id: binding.sort for binding in kept}
        writer = RecordWriter(call.data, call.data.entities[self.type_id], call.caller.user_id, call.now)
        writer.update(owner_id, columns_of(self.type_id, kept))


def _array(value: Value, name: str) -> dict[str, Value]:
    if not is_array(value):
        refuse(f"The parameter {name} must be array.")
    return entries_of(value)


_ALL = (
    Bindings("lead", LEAD, "contact", CONTACT),
    Bindings("deal", DEAL, "contact", CONTACT),
    Bindings("company", COMPANY, "contact", CONTACT),
    Bindings("quote", QUOTE, "contact", CONTACT),
    Bindings("contact", CONTACT, "company", COMPANY),
)

METHODS = tuple(method for bindings in _ALL for method in bindings.methods())
