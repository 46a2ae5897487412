"""The CRM records of a sandbox portal: leads, deals, contacts, companies, quotes, invoices, items."""

from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache, partial
from random import Random

from gateway.sandbox.content.entities import DATES, REFERENCES, Entity, Field
from gateway.sandbox.php import Value
from gateway.sandbox.tables.generated import ComputedColumns, GeneratedTable
from gateway.sandbox.tables.table import Row, Table
from gateway.sandbox.tables.time_bands import TimeBand

FILLED_CUSTOM_FIELDS = 8  # the first fields of an entity; rows omit the others, which were never set
SECONDS_PER_ID = 30  # between the creation of two consecutive ids

_FIRST_CREATED = 1_547_456_400  # 2019-01-14
_ZONE_S = 3 * 3600
_UNIX_EPOCH = date(1970, 1, 1).toordinal()
_NAMES = (
    ("Анна", "Иванова"), ("Пётр", "Кузнецов"), ("Vadim", "Weber"), ("Zoë", "O’Neill"), ("Ольга 🌷", "Лебедева"),
    ("Нұрлан", "Әбілқасымов"), ("小明", "王"), ("José", None),
)  # fmt: skip
_TITLES = ("Заявка с сайта", "Ремонт «под ключ»", "Kitchen, 12 m²", "Повторная продажа 🔁", "Паркет\\плитка", "A/B")
_COMMENTS = (None, "", "Перезвонить после обеда", '[B]Важно[/B]: смета "до пятницы"\nи замер', "☎ 24/7")
_TITLE_COLUMNS = ("TITLE", "ORDER_TOPIC")
_NUMBERS = ("QUOTE_NUMBER", "ACCOUNT_NUMBER")
CREATED_COLUMNS = ("DATE_CREATE", "CREATED_TIME", "DATE_INSERT")
MODIFIED_COLUMNS = ("DATE_MODIFY", "UPDATED_TIME", "DATE_UPDATE")
_LATER_COLUMNS = (*MODIFIED_COLUMNS, "MOVED_TIME", "LAST_ACTIVITY_TIME")
_LATEST_S = 2_000_000  # the longest time between creation and change of a generated row: about three weeks
_BANDS = {
    **dict.fromkeys(CREATED_COLUMNS, TimeBand(_FIRST_CREATED, SECONDS_PER_ID, 0)),
    **dict.fromkeys(_LATER_COLUMNS, TimeBand(_FIRST_CREATED, SECONDS_PER_ID, _LATEST_S)),
}
SEMANTICS = ("STATUS_SEMANTIC_ID", "STAGE_SEMANTIC_ID")
STAGES = ("STATUS_ID", "STAGE_ID")
BINDINGS = {"CONTACT_ID": "CONTACT_IDS", "COMPANY_ID": "COMPANY_IDS"}  # the first record bound, and all of them
_CURRENCIES = ("RUB", "RUB", "USD", "KZT")
_BLANKS = {"char": "N", "boolean": "N", "double": "0.00", "date": "", "datetime": ""}


def make_records(
    entities: Mapping[int, Entity],
    counts: Mapping[str, int],
    *,
    holes: float,
    seed: int,
    users: Table,
    statuses: Table,
    userfields: Mapping[str, Table],
) -> dict[int, GeneratedTable]:
    """Make the table of each entity. *counts* is the number of rows by table name, 0 by default.

    Rows have the form of the old lists: numbers are strings, an unset date is empty. The form of crm.item is derived.
    """
    records: dict[int, GeneratedTable] = {}
    for type_id, entity in entities.items():
        seed_text = f"{seed} {entity.table}"
        records[type_id] = make_table(
            entity, counts.get(entity.table, 0), holes, seed_text, users, statuses, userfields, records
        )
    return records


def make_table(
    entity: Entity,
    count: int,
    holes: float,
    seed: str,
    users: Table,
    statuses: Table,
    userfields: Mapping[str, Table],
    records: Mapping[int, GeneratedTable],
) -> GeneratedTable:
    """Make the table of one entity with *count* rows, which refer to rows of *records*."""
    custom = list(userfields[entity.userfields].values())[:FILLED_CUSTOM_FIELDS]
    maker = _PatternMaker(entity, list(users), list(statuses.values()), custom, records)
    return GeneratedTable(count, holes, seed, maker.pattern, _computed_columns(entity), _BANDS)


def _computed_columns(entity: Entity) -> ComputedColumns:
    """The columns computed from the id: the id, the name, the times, phones and e-mail addresses."""
    computed: dict[str, Callable[[int], Value]] = {
        "ID": str,
        **dict.fromkeys(_NUMBERS, str),
        **dict.fromkeys(_TITLE_COLUMNS, lambda row_id: f"{_TITLES[row_id % len(_TITLES)]} {row_id}"),
        **dict.fromkeys(CREATED_COLUMNS, lambda row_id: iso_time(_FIRST_CREATED + SECONDS_PER_ID * row_id)),
        **dict.fromkeys(_LATER_COLUMNS, _later),
        "HAS_PHONE": lambda row_id: "NY"[_has_phone(row_id)],
        "HAS_EMAIL": lambda row_id: "NY"[_has_email(row_id)],
        "PHONE": partial(_phone, entity),
        "EMAIL": partial(_email, entity),
    }
    names = {field.name for field in entity.own_fields}
    return {name: make for name, make in computed.items() if name in names}


@lru_cache(1024)
def _later(row_id: int) -> str:
    """A time within _LATEST_S seconds after the creation of the row."""
    return iso_time(_FIRST_CREATED + SECONDS_PER_ID * row_id + row_id * 7_919 % _LATEST_S)


def _has_phone(row_id: int) -> bool:
    return row_id % 4 != 3


def _has_email(row_id: int) -> bool:
    return row_id % 3 != 2


def _phone(entity: Entity, row_id: int) -> list[Row] | None:
    if not _has_phone(row_id):
        return None
    return [multivalue(2 * row_id, "PHONE", f"+7900{entity.type_id}{row_id:07d}")]


def _email(entity: Entity, row_id: int) -> list[Row] | None:
    if not _has_email(row_id):
        return None
    return [multivalue(2 * row_id + 1, "EMAIL", f"{entity.table}{row_id}@example.com")]


def multivalue(value_id: int, type_id: str, value: str) -> Row:
    """One value of a multifield such as PHONE."""
    return {"ID": str(value_id), "VALUE_TYPE": "WORK", "VALUE": value, "TYPE_ID": type_id}


def iso_time(unix_s: int) -> str:
    """A Unix time in the form and zone of the portal. Lists format many times, so only the day uses `datetime`."""
    day, second = divmod(unix_s + _ZONE_S, 86_400)
    minute, second = divmod(second, 60)
    return f"{_day(day)}T{minute // 60:02d}:{minute % 60:02d}:{second:02d}+03:00"


@lru_cache(4096)
def _day(number: int) -> str:
    return date.fromordinal(_UNIX_EPOCH + number).isoformat()


class _PatternMaker:
    """Makes the row patterns of one entity. *records* are the tables that the rows refer to."""

    def __init__(
        self,
        entity: Entity,
        people: list[int],
        statuses: list[Row],
        custom: list[Row],
        records: Mapping[int, GeneratedTable],
    ) -> None:
        self._people, self._statuses, self._custom, self._records = people, statuses, custom, records
        self._blank: Row = {field.name: blank_value(field) for field in entity.own_fields}
        self._random = [
            (field.name, make) for field in entity.own_fields if (make := self._random_value(field)) is not None
        ]
        self._stages = self._stages_of(entity)

    def pattern(self, rng: Random) -> Row:
        stage = rng.choice(self._stages) if self._stages else {}
        row = self._blank | stage
        row |= {name: make(rng) for name, make in self._random if name not in stage}
        name, last_name = rng.choice(_NAMES)
        known = {
            "NAME": name,
            "LAST_NAME": last_name,
            "OPPORTUNITY": f"{rng.randrange(5_000_000) / 100:.2f}",
            "PRICE": f"{rng.randrange(5_000_000) / 100:.2f}",
            "COMMENTS": rng.choice(_COMMENTS),
            "OPENED": rng.choice("YN"),
            "PROBABILITY": str(rng.randrange(101)),
        }
        row |= {column: value for column, value in known.items() if column in row}
        row |= {every: [row[first]] for first, every in BINDINGS.items() if every in row and row.get(first)}
        return row | {str(field["FIELD_NAME"]): _custom_value(field, rng) for field in self._custom}

    def _stages_of(self, entity: Entity) -> list[Row]:
        """The columns of each stage: the stage itself, its pipeline and its semantics."""
        field = next((field for field in entity.own_fields if field.name in STAGES and field.values), None)
        if field is None:
            return []
        wanted = _without_pipeline(field.values)
        return [
            {column: value for column, value in _stage(field, row).items() if column in self._blank}
            for row in self._statuses
            if _without_pipeline(row["ENTITY_ID"]) == wanted
        ]

    def _random_value(self, field: Field) -> Callable[[Random], Value] | None:
        """What makes the values of a field; None if they are always blank."""
        if field.is_multiple:
            return None
        match field.type:
            case "crm_currency":
                return lambda rng: rng.choice(_CURRENCIES)
            case "user":
                return lambda rng: str(rng.choice(self._people))
            case "crm_status":
                codes = [row["STATUS_ID"] for row in self._statuses if row["ENTITY_ID"] == field.values]
                return lambda rng: rng.choice([*codes, None])
            case kind if kind in REFERENCES:
                return partial(self._reference, REFERENCES[kind])
            case "date":
                return _random_date
        return None

    def _reference(self, type_id: int, rng: Random) -> str | None:
        ids = self._records[type_id].generated_ids
        return str(ids.at(rng.randrange(len(ids)))) if ids and rng.random() < 0.7 else None


def blank_value(field: Field) -> Value:
    """The value of a field that was never set."""
    if field.is_custom:
        return False if field.is_multiple else None
    if field.is_multiple:
        return None if field.type == "crm_multifield" else []
    return _BLANKS.get(field.type)


def _stage(field: Field, status: Row) -> Row:
    semantics = status["SEMANTICS"] or "P"
    return {
        field.name: status["STATUS_ID"],
        "CATEGORY_ID": status["CATEGORY_ID"] or "0",
        **dict.fromkeys(SEMANTICS, semantics),
        "CLOSED": "N" if semantics == "P" else "Y",
    }


def _random_date(rng: Random) -> str:
    return iso_time(_FIRST_CREATED + 86_400 * rng.randrange(2_000)) if rng.random() < 0.5 else ""


def _without_pipeline(entity_id: str) -> str:
    """The ENTITY_ID of stages without the trailing number of the pipeline."""
    return entity_id.rstrip("0123456789").rstrip("_")


def blank_custom_value(userfield: Row) -> Value:
    """The value of an empty custom field; ``false`` if it is multiple."""
    return False if userfield["MULTIPLE"] == "Y" else None


def _custom_value(field: Row, rng: Random) -> Value:
    """A value of a custom field. A third are empty."""
    is_multiple = field["MULTIPLE"] == "Y"
    if rng.random() < 0.33:
        return blank_custom_value(field)
    kind = field["USER_TYPE_ID"]
    values: Mapping[str, Value] = {
        "string": rng.choice(_TITLES),
        "integer": str(rng.randrange(100)),
        "double": f"{rng.randrange(10_000) / 100:.2f}",
        "boolean": rng.random() < 0.5,
        "enumeration": rng.choice(field["LIST"])["ID"] if "LIST" in field else None,
        **dict.fromkeys(DATES, iso_time(_FIRST_CREATED + 3_600 * rng.randrange(40_000))),
    }
    value = values.get(kind)
    return [value] if is_multiple and value is not None else value
