"""A process that writes until it is killed and reports each commit on stdout.

python -m tests.storage.writer DATABASE ROUND
"""

import asyncio
import sys
from pathlib import Path

from storage.accounts import AccountStore
from storage.database import Database
from storage.records import RowPage
from storage.rules import RuleStore
from storage.syncs import SyncStore
from tests.storage.samples import NOW, prefix, rows

PAGE = 100


async def write(path: Path, turn: int) -> None:
    """Account ``TURN-N``, its rule, a page of PAGE rows and a change of half of it, for N from 0 on."""
    async with Database.open(path) as database:
        accounts, rules, syncs = AccountStore(database), RuleStore(database), SyncStore(database)
        number = 0
        while True:
            key, host = f"{turn}-{number}", f"p{number % 3}.bitrix24.ru"
            account = await accounts.connect(
                key, host=host, origin=f"https://{host}", sealed_webhook=key.encode(), now=NOW
            )
            print("account", key, flush=True)
            portal_id = account.portal.portal_id
            await rules.add(account.account_id, portal_id, number, key.encode(), now=NOW)
            print("rule", key, flush=True)
            run = await syncs.begin(account.account_id, portal_id, "users", [0], now=NOW, resumable_since=NOW)
            for text, ids in (("as it was", range(1, PAGE + 1)), ("changed", range(1, PAGE + 1, 2))):
                await syncs.save_page(run.list_id, RowPage(0, rows(ids, text), 0, PAGE, prefix(NOW)))
                print("page", key, flush=True)
            missing = await syncs.load_missing(run.list_id, limit=PAGE)
            await syncs.resolve_missing(run.list_id, missing, [], tombstone=None)
            print("settled", key, flush=True)
            number += 1


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2])))
