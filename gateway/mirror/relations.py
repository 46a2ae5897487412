"""The relations of CRM records, and the parameter `related` that names them and their fields."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.bitrix.lists.suggestions import suggest_name
from gateway.errors import FieldError, InvalidInput
from gateway.mirror.resources import Resource, record_type
from gateway.mirror.translation import Translation
from storage.mirror_records import RelatedList

MAX_RELATED = 50  # records of one relation
MAX_NAMES = 100  # in `related`

_CONTACT = RelatedList("contacts", "contact", many=False)
_COMPANY = RelatedList("companies", "company", many=False)
_RESPONSIBLE = RelatedList("users", "person", many=False, dictionary=True)
_MANY: dict[str, dict[str, RelatedList]] = {
    "contacts": {"deals": RelatedList("deals", "contact", many=True, limit=MAX_RELATED)},
    "companies": {
        "deals": RelatedList("deals", "company", many=True, limit=MAX_RELATED),
        "contacts": RelatedList("contacts", "company", many=True, limit=MAX_RELATED),
    },
}
# The portal's names of a user's fields, and those of the mirrored users.
USER_FIELDS = {
    "ID": "bitrixUserID",
    "NAME": "name",
    "LAST_NAME": "lastName",
    "SECOND_NAME": "secondName",
    "TITLE": "title",
    "EMAIL": "email",
    "WORK_POSITION": "workPosition",
    "UF_DEPARTMENT": "uf_department",
}


@dataclass(frozen=True)
class Relation:
    """A relation that a caller asks for, and the names of the *fields* to show of each related row.

    The values of records are shown with *translation*, if there is one. Users have no ids in the place of names.
    """

    name: str
    list: RelatedList
    fields: tuple[str, ...]
    translation: Translation | None = None


def relations_of(resource: Resource) -> dict[str, RelatedList]:
    """The relations of the records of *resource* by name."""
    names = record_type(resource).names
    relations = {"responsible": _RESPONSIBLE}
    if names.contact is not None:
        relations["contact"] = _CONTACT
    if names.company is not None:
        relations["company"] = _COMPANY
    return relations | _MANY.get(resource.name, {})


def parse_related(text: str, resource: Resource) -> dict[str, tuple[RelatedList, list[str]]]:
    """The relations that *text*, such as ``contact.NAME,company.TITLE``, names, each with its fields.

    Raises:
        InvalidInput: a name has another form, or the relation is unknown.
    """
    known = relations_of(resource)
    names = text.split(",")
    if len(names) > MAX_NAMES:
        raise InvalidInput.of_parameter("related", "invalid_value", f"must have at most {MAX_NAMES} names")
    related: dict[str, tuple[RelatedList, list[str]]] = {}
    errors: list[FieldError] = []
    for name in dict.fromkeys(names):
        relation, dot, field = name.partition(".")
        if not (relation and dot and field):
            rule = f"{name[:64]!r} must be RELATION.FIELD"
            errors.append(FieldError("invalid_value", rule, parameter="related"))
        elif relation not in known:
            rule = f"unknown relation {relation[:64]!r}, expected one of {', '.join(known)}"
            errors.append(FieldError("unknown_relation", rule, parameter="related"))
        else:
            related.setdefault(relation, (known[relation], []))[1].append(field)
    raise_errors(errors)
    return related


def check_fields(relation: str, fields: list[str], known: Sequence[str]) -> list[FieldError]:
    """The errors of those *fields* of *relation* that are not *known*."""
    errors = []
    for field in fields:
        if field not in known and field != "id":
            nearest = suggest_name(field, known)
            question = "" if nearest is None else f"; did you mean {relation}.{nearest}?"
            rule = f"unknown field {field[:64]!r} of {relation}{question}"
            errors.append(FieldError("unknown_field", rule, parameter="related"))
    return errors


def raise_errors(errors: list[FieldError]) -> None:
    """
    Raises:
        InvalidInput: with all *errors*, if there are any.
    """
    if errors:
        raise InvalidInput.of_errors(errors)
