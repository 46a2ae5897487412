"""Checks that must hold after every crash: on the file, an account and its mirror."""

import sqlite3
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson

from gateway.bitrix.auth.oauth import Tokens
from gateway.crypto.vault import Vault, decode_key
from tests.crash.house import ENCRYPTION_KEY, House
from tests.gateway import Sandbox

RULE: dict[str, Any] = {
    "PerformerID": "1",
    "PipelineID": 12,
    "TypeID": "SALE",
    "StageID": "C12:NEW",
    "SourceID": "WEB",
    "FieldsRule": {"lead": {"QuestionID": {"1": "UF_CRM_LEAD"}}},
    "TagsToAdd": {"deal": ["a"]},
    "LeadFlag": True,
    "StatusID": "NEW",
}
OTHER_RULE = RULE | {"PipelineID": 13, "StageID": "C13:NEW", "TagsToAdd": {}}
TOKEN_NAMES = {field.name for field in fields(Tokens)}


def check_file(path: Path) -> None:
    """Verify a copy of the file after the crash: it is sound, and each account has a complete credential or none."""
    copy = path.with_name("copy.db")
    for suffix in ("", "-wal"):
        found = Path(f"{path}{suffix}")
        Path(f"{copy}{suffix}").write_bytes(found.read_bytes() if found.exists() else b"")
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        if connection.execute("PRAGMA user_version").fetchone() == (0,):
            return
        accounts = connection.execute("SELECT account_key, kind, sealed FROM accounts").fetchall()
    vault = Vault(decode_key(ENCRYPTION_KEY))
    for key, kind, sealed in accounts:
        assert (sealed is None) == (kind == "pending")
        if sealed is not None:
            names = set(orjson.loads(vault.open(sealed, f"account {key}")))
            assert names == (TOKEN_NAMES if kind == "oauth" else {"endpoint"})


async def is_mirrored(house: House, sandbox: Sandbox, account: str = "acme") -> bool:
    """Return whether all syncs of *account* succeeded with exactly the portal's users."""
    runs = await house.finished_runs(account=account)
    return {run["state"] for run in runs.values()} == {"done"} and await house.user_ids(account=account) == [
        row["ID"] for row in sandbox.portal.data.users.values()
    ]


async def is_stale(house: House, account: str = "acme") -> bool:
    """Return whether the account is stale; if so, verify that it refuses to sync until it is authorized again."""
    if not (await house.get("/bitrix/account", account=account)).json["stale"]:
        return False
    refused = await house.patch("/bitrix/users", account=account)
    assert (refused.status, b"authorize" in refused.body) == (409, True)
    return True
