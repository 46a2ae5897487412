"""The users of a sandbox portal: names in many scripts, empty and missing fields, ids with holes."""

from datetime import UTC, datetime, timedelta
from random import Random

from gateway.sandbox.tables.ids import runs_with_holes
from gateway.sandbox.tables.table import Row, Table

_PEOPLE = (
    ("Анна", "Иванова", "Сергеевна", "F"),
    ("Пётр", "Кузнецов", "Ильич", "M"),
    ("Алёна", "Щукина", "", "F"),
    ("Vadim", "Weber", "", "M"),
    ("Zoë", "O’Neill", "", "F"),
    ("Ольга 🌷", "Лебедева", "Юрьевна", "F"),
    ("Нұрлан", "Әбілқасымов", "", "M"),
    ("José María", "Peña", "", ""),
    ("小明", "王", "", ""),
    ("", "", "", ""),
)
_POSITIONS = ("Менеджер по продажам", "", "Бухгалтер", "Engineer 🔧", "Руководитель отдела <«Север»>", "")
_ZONES = ("", "Europe/Moscow", "", "Asia/Almaty")
_EPOCH = datetime(2024, 1, 9, tzinfo=UTC)


def make_users(count: int, holes: float, rng: Random) -> Table:
    """Make *count* users in the form of user.get. The first, id 1, is the administrator who owns the webhook.

    Source: [docs] api-reference/user/user-get.md
    """
    return Table({user_id: _user(user_id, rng) for run in runs_with_holes(count, holes, rng) for user_id in run})


def _user(user_id: int, rng: Random) -> Row:
    name, last_name, second_name, gender = _PEOPLE[user_id % len(_PEOPLE)] if user_id > 1 else _PEOPLE[0]
    is_active = user_id == 1 or rng.random() > 0.1
    registered = _EPOCH + timedelta(days=user_id % 700)
    login = registered + timedelta(seconds=rng.randrange(40_000_000))
    row: Row = {
        "ID": str(user_id),
        "XML_ID": str(user_id) if user_id % 2 else "",
        "ACTIVE": is_active,
        "NAME": name,
        "LAST_NAME": last_name,
        "SECOND_NAME": second_name,
        "EMAIL": f"user{user_id}@example.com",
        "LAST_LOGIN": login.isoformat(),
        "DATE_REGISTER": registered.isoformat(),
        "TIME_ZONE": _ZONES[user_id % len(_ZONES)],
        "IS_ONLINE": "Y" if is_active and rng.random() < 0.2 else "N",
        "TIMESTAMP_X": {},
        "LAST_ACTIVITY_DATE": {},
        "PERSONAL_GENDER": gender,
        "PERSONAL_WWW": "",
        "PERSONAL_BIRTHDAY": "" if user_id % 3 else "1990-07-14T00:00:00+00:00",
        "PERSONAL_MOBILE": "" if user_id % 4 else f"+7 900 {user_id % 1000:03d}-00-00",
        "PERSONAL_CITY": "Санкт-Петербург" if user_id % 5 == 0 else "",
        "WORK_PHONE": "",
        "WORK_POSITION": _POSITIONS[user_id % len(_POSITIONS)],
        "UF_EMPLOYMENT_DATE": "" if user_id % 6 else "2024-02-01T00:00:00+00:00",
        "UF_DEPARTMENT": [1 + user_id % 4] if user_id % 9 else [1, 3],
        "UF_PHONE_INNER": str(100 + user_id) if user_id % 2 else "",
        "USER_TYPE": "extranet" if user_id % 25 == 24 else "employee",
    }
    if user_id % 4 == 3:  # a portal omits fields that were never set
        for column in (
            "SECOND_NAME",
            "TIME_ZONE",
            "PERSONAL_WWW",
            "PERSONAL_MOBILE",
            "PERSONAL_CITY",
            "WORK_PHONE",
            "UF_PHONE_INNER",
        ):
            del row[column]
    if user_id % 11 == 7:
        row["EMAIL"] = ""
    elif user_id % 11 == 8:
        del row["EMAIL"]
    return row


def new_user(user_id: int, now: float, columns: Row) -> Row:
    """A user as after an invitation: without a login, with these *columns*.

    Source: [docs] api-reference/user/user-add.md
    """
    registered = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "ID": str(user_id),
        "XML_ID": "",
        "ACTIVE": True,
        "NAME": "",
        "LAST_NAME": "",
        "SECOND_NAME": "",
        "EMAIL": "",
        "LAST_LOGIN": "",
        "DATE_REGISTER": registered.isoformat(),
        "IS_ONLINE": "N",
        "TIMESTAMP_X": {},
        "LAST_ACTIVITY_DATE": {},
        "PERSONAL_GENDER": "",
        "PERSONAL_BIRTHDAY": "",
        "WORK_POSITION": "",
        "UF_EMPLOYMENT_DATE": "",
        "UF_DEPARTMENT": [],
        **columns,
    }
