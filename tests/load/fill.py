"""A database with many mirrored users, written through the stores that a sync uses."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
from yarl import URL

from gateway.bitrix.lists.list_specs import Row
from gateway.crypto.vault import Vault
from gateway.mirror.resources import DICTIONARIES, PortalList
from gateway.mirror.row_json import render_rows
from storage.accounts import AccountStore
from storage.database import Database
from storage.metadata import MetadataStore
from storage.records import Account, MirrorRow, RowPage
from storage.syncs import SyncStore

ACCOUNT = "load"
KEY = bytes(range(32))
NOWHERE = URL("https://load.bitrix24.ru/rest/1/load/")
NOW = 1_760_000_000
ROWS_A_TRANSACTION = 5000
USERS = DICTIONARIES["users"]
USER_LIST: PortalList = USERS.lists("ru")[0]


def user(number: int) -> Row:
    """A portal's row of user *number*, of realistic size."""
    return {
        "ID": str(number),
        "ACTIVE": True,
        "NAME": f"Имя{number % 977}",
        "LAST_NAME": f"Фамилия{number % 7919}",
        "SECOND_NAME": "Сергеевна" if number % 3 else "",
        "EMAIL": f"user{number}@example.com",
        "LAST_LOGIN": "2024-07-25T13:06:54+00:00",
        "DATE_REGISTER": "2024-07-15T00:00:00+00:00",
        "IS_ONLINE": "N",
        "TIMESTAMP_X": {},
        "WORK_POSITION": "Менеджер по продажам" if number % 5 else "",
        "UF_DEPARTMENT": [number % 40],
        "USER_TYPE": "employee",
    }


def deal(number: int, fields: int = 25) -> Row:
    """A portal's row of deal *number* with so many fields, 25 or more, of realistic size."""
    row: Row = {
        "ID": str(number),
        "TITLE": f"Сделка №{number}",
        "TYPE_ID": "SALE",
        "STAGE_ID": ("NEW", "PREPARATION", "EXECUTING", "WON", "LOSE")[number % 5],
        "CATEGORY_ID": "0",
        "STAGE_SEMANTIC_ID": "P",
        "IS_NEW": "N",
        "PROBABILITY": str(number % 100),
        "CURRENCY_ID": "RUB",
        "OPPORTUNITY": f"{number % 99991}.00",
        "IS_MANUAL_OPPORTUNITY": "N",
        "LEAD_ID": None,
        "COMPANY_ID": str(number % 4999),
        "CONTACT_ID": str(number % 29989),
        "BEGINDATE": "2026-03-02T03:00:00+03:00",
        "CLOSEDATE": "2026-04-02T03:00:00+03:00",
        "OPENED": "Y",
        "CLOSED": "N",
        "COMMENTS": "Перезвонить после обеда" if number % 3 else "",
        "ASSIGNED_BY_ID": str(number % 60 + 1),
        "CREATED_BY_ID": str(number % 60 + 1),
        "DATE_CREATE": "2026-03-02T12:31:05+03:00",
        "DATE_MODIFY": f"2026-03-{number % 28 + 1:02}T15:04:00+03:00",
        "SOURCE_ID": "WEB",
        "ORIGIN_ID": f"5f2c{number:012x}",
    }
    return row | {f"UF_CRM_{1_713_790_000 + place}": f"value {number % 997}" for place in range(fields - len(row))}


def render_users(rows: Sequence[Row]) -> list[MirrorRow]:
    """The portal's rows of users as they are stored."""
    return render_rows([int(str(row["ID"])) for row in rows], rows, USER_LIST.decode)


def rendered(first: int, last: int) -> list[MirrorRow]:
    """Users *first* to *last*, rendered for storage."""
    return render_users([user(number) for number in range(first, last + 1)])


def ranges(rows: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the first and last id of each run of *size* ids from 1 to *rows*."""
    for first in range(1, rows + 1, size):
        yield first, min(first + size - 1, rows)


async def connect_account(database: Database, webhook: URL = NOWHERE) -> Account:
    """Connect the account by *webhook*."""
    vault = Vault(KEY)
    await MetadataStore(database).save("encryption_key_check", vault.check_value())
    sealed = vault.seal(orjson.dumps({"endpoint": str(webhook)}), f"account {ACCOUNT}")
    return await AccountStore(database).connect(
        ACCOUNT, host=webhook.authority, origin=str(webhook.origin()), sealed_webhook=sealed, now=NOW
    )


async def fill(path: Path, rows: int) -> None:
    """Create the database at *path* with one connected account that mirrors *rows* users."""
    async with Database.open(path) as database:
        account = await connect_account(database)
        syncs = SyncStore(database)
        run = await syncs.begin(
            account.account_id, account.portal.portal_id, USERS.name, [USER_LIST.sublist], now=NOW, resumable_since=NOW
        )
        for first, last in ranges(rows, ROWS_A_TRANSACTION):
            await syncs.save_page(
                run.list_id,
                RowPage(
                    USER_LIST.sublist,
                    rendered(first, last),
                    first - 1,
                    None if last == rows else last,
                    USERS.prefix(NOW),
                ),
            )
        await syncs.finish(run.list_id, "done", error=None, now=NOW)
