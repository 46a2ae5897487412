"""The addresses of requisites: rows without an id, identified by type, entity type and requisite."""

from gateway.sandbox.tables.table import Row, Table

REQUISITE = 8
KINDS = (1, 6)  # physical, legal
_CITIES = (("Москва", "101000", "Россия"), ("Köln", "50667", "Deutschland"), ("Алматы", "050000", "Қазақстан"))


def make_addresses(requisites: int) -> Table:
    """Make the addresses of *requisites* requisites. The numbers of the rows appear in no answer.

    Source: [docs] api-reference/crm/requisites/addresses/crm-address-list.md
    """
    keys = [(requisite_id, kind) for requisite_id in range(1, requisites + 1) for kind in KINDS[: 1 + requisite_id % 2]]
    return Table({number: make_address(*key) for number, key in enumerate(keys, start=1)})


def make_address(requisite_id: int, kind: int) -> Row:
    """Make the address of one kind for one requisite of a contact."""
    city, postal_code, country = _CITIES[requisite_id % len(_CITIES)]
    return {
        "TYPE_ID": str(kind),
        "ENTITY_TYPE_ID": str(REQUISITE),
        "ENTITY_ID": str(requisite_id),
        "ADDRESS_1": f"Street {requisite_id}",
        "ADDRESS_2": "" if requisite_id % 3 else "7a",
        "CITY": city,
        "POSTAL_CODE": postal_code,
        "REGION": "",
        "PROVINCE": "",
        "COUNTRY": country,
        "COUNTRY_CODE": None,
        "LOC_ADDR_ID": str(100 + requisite_id),
        "ANCHOR_TYPE_ID": "3",
        "ANCHOR_ID": str(requisite_id),
    }
