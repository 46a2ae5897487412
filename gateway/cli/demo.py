"""The command `demo`: runs a sandbox portal and the gateway in one process, and tries them with an HTTP client."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import click
from aiohttp import ClientSession
from rich.console import Console
from rich.table import Table

from gateway.auth.caller import Caller
from gateway.auth.tokens import issue_token
from gateway.bitrix.rows.dictionaries import FIELD_TYPE_ALIASES, FIELD_TYPES
from gateway.cli.demo_flow import run_flow
from gateway.cli.demo_servers import DemoSettings, demo_servers
from gateway.cli.demo_widgets import try_widgets
from gateway.cli.gateway_client import GatewayClient, RequestFailed, open_client
from gateway.cli.serve import serve_until_stopped
from gateway.cli.sync import watch_syncs
from gateway.clock import Clock
from gateway.mirror.resources import DICTIONARIES, PIPELINE_ENTITY_TYPES, SMART_INVOICE_FIELDS, USERFIELDS
from gateway.sandbox.portal import SandboxPortal

ACCOUNT = "demo"
ADMIN = "1"  # the portal's administrator
DEMO_RECORDS = ("deals", "contacts")  # the records of the CRM that are mirrored, besides all dictionaries
MIRRORED = (*DICTIONARIES, *DEMO_RECORDS)
TOKEN_TTL_S = 86_400


class DemoFailed(RequestFailed):
    """the gateway and the portal disagree"""

    code = "tour_failed"


async def run_demo(settings: DemoSettings, clock: Clock, *, once: bool) -> None:
    """Start both servers, connect and mirror the portal, write records, verify the mirror, and serve unless *once*.

    Raises:
        SettingsError: when a server cannot start.
        RequestFailed: when a response is wrong; its text names the difference.
    """
    if settings.replaced:
        click.echo(f"The demo replaces {', '.join(settings.replaced)} with its own values.", err=True)
    async with demo_servers(settings, clock) as demo:
        config, portal = demo.config, demo.portal
        assert demo.secrets.jwt_secret is not None, "the demo signs its own tokens"
        secret = demo.secrets.jwt_secret
        token = issue_token(config, secret, clock, Caller(ACCOUNT), ttl_s=TOKEN_TTL_S)
        admin = issue_token(config, secret, clock, Caller(ACCOUNT, user_id=ADMIN, is_admin=True), ttl_s=TOKEN_TTL_S)
        click.echo(f"Sandbox portal at {demo.portal_origin}, gateway at {config.own_origin}")
        started = clock.monotonic()
        async with open_client(config.own_origin, token) as client:
            await connect(client, demo.portal_origin)
            click.echo("Connected an account over OAuth. First sync:")
            for name in DEMO_RECORDS:
                await client.request("PUT", f"/bitrix/sync/{name}", {"enabled": True})
            await finish_syncs(client, MIRRORED, clock)
            if changed := [name for name in DEMO_RECORDS if await is_incremental(client, name)]:
                # An earlier demo with this database may have changed records; its portal has forgotten the changes.
                for name in changed:
                    await client.request("PATCH", f"/bitrix/{name}?mode=full")
                await finish_syncs(client, changed, clock)
            seconds, requests = clock.monotonic() - started, portal.http_requests
            await run_flow(client, portal)
            served = {name: await fetch_rows(client, name) for name in MIRRORED}
            check_rows(served, portal)
            shown_deal = await find_linked_deal(client)
        async with open_client(config.own_origin, admin) as client, open_client(demo.portal_origin, "") as browser:
            await try_widgets(client, browser, can_bind="." in (urlsplit(config.own_origin).hostname or ""))
        show_summary({name: len(rows) for name, rows in served.items()}, requests, seconds)
        if once:
            click.echo("All rows served match the portal.")
        else:
            show_commands(config.own_origin, token, shown_deal)
            click.echo("\nServing until Ctrl-C.")
            await serve_until_stopped(demo.app, config, clock)


async def connect(client: GatewayClient, portal_origin: str) -> None:
    """Connect the account as a person would: open the authorization page, allow, and follow the redirect back."""
    await client.request("DELETE", "/bitrix/account")  # an earlier demo may have used the same database
    account = await client.request("POST", "/bitrix/account", {"client_bitrix_url": portal_origin})
    async with ClientSession() as browser, browser.get(account["authorizeURL"]) as page:
        if page.status != 200 or page.url.path != "/connected":
            raise DemoFailed(
                f"the authorization ended at {page.url.path} with status {page.status}: {await page.text()}"
            )
    account = await client.request("GET", "/bitrix/account")
    if account["stale"]:
        raise DemoFailed("the account is stale after its authorization")


async def finish_syncs(client: GatewayClient, resources: Sequence[str], clock: Clock) -> None:
    """Show the syncs of *resources* until all have ended.

    Raises:
        DemoFailed: one has failed.
    """
    for status in await watch_syncs(client, resources, clock):
        if status.state != "done":
            raise DemoFailed(str(status))


async def is_incremental(client: GatewayClient, resource: str) -> bool:
    """Whether the last sync of *resource* read only what has changed since an earlier one."""
    run = await client.request("GET", f"/bitrix/sync/{resource}")
    return bool(run["mode"] == "incremental")


async def fetch_rows(client: GatewayClient, resource: str) -> list[dict[str, Any]]:
    """All rows of *resource*, from every page.

    Raises:
        DemoFailed: when rows are missing or repeated.
    """
    rows: list[dict[str, Any]] = []
    page_number = 1
    while True:
        page: dict[str, Any] = await client.request("GET", f"/bitrix/{resource}?page={page_number}&size=1000")
        rows += page["items"]
        if not page["items"] or len(rows) >= page["count"]:
            break
        page_number += 1
    distinct = len({row.get("ID", row.get("id")) for row in rows})
    if distinct != page["count"]:
        raise DemoFailed(f"{resource}: count is {page['count']}, but {distinct} distinct rows are listed")
    return rows


# The properties that are compared with the portal, in the order of `portal_rows`.
COMPARED = {
    "users": ("bitrixUserID", "name"),
    "steps": ("bitrixID", "name"),
    "pipelines": ("entityTypeId", "bitrixID", "name"),
    "fields": ("entityID", "bitrixID", "fieldName", "fieldType"),
    "deals": ("id", "TITLE", "DATE_MODIFY"),
    "contacts": ("id", "NAME", "DATE_MODIFY"),
}


def portal_rows(portal: SandboxPortal) -> dict[str, set[tuple[object, ...]]]:
    """The expected content of the mirror, as tuples of the `COMPARED` properties."""
    data = portal.data
    entities = [entity for entity, _ in USERFIELDS.values()] + [SMART_INVOICE_FIELDS]
    return {
        "users": {(row["ID"], row.get("NAME") or "") for row in data.users.values()},
        "steps": {(row["ID"], row["NAME"]) for row in data.statuses.values()},
        "pipelines": {
            (type_id, row["id"], row["name"])
            for type_id in PIPELINE_ENTITY_TYPES
            for row in data.categories.get(type_id, {}).values()
        },
        "fields": {
            (entity, row["ID"], row["FIELD_NAME"], FIELD_TYPE_ALIASES.get(row["USER_TYPE_ID"], row["USER_TYPE_ID"]))
            for entity in entities
            for row in data.userfields[entity].values()
            if row["USER_TYPE_ID"] in FIELD_TYPES | FIELD_TYPE_ALIASES.keys()
        },
        "deals": {(row_id, row["TITLE"], row["DATE_MODIFY"]) for row_id, row in data.tables["deals"].items()},
        "contacts": {(row_id, row["NAME"], row["DATE_MODIFY"]) for row_id, row in data.tables["contacts"].items()},
    }


def check_rows(served: dict[str, list[dict[str, Any]]], portal: SandboxPortal) -> None:
    """Compare the *served* rows with the rows of *portal*.

    Raises:
        DemoFailed: when they differ; its text names each resource that does.
    """
    differences = []
    for name, expected in portal_rows(portal).items():
        found = {tuple(row[key] for key in COMPARED[name]) for row in served[name]}
        if len(found) != len(expected):
            differences.append(f"{name}: {len(found)} rows are served, the portal has {len(expected)}")
        elif found != expected:
            differences.append(f"{name}: {min(found - expected)} is served, the portal has {min(expected - found)}")
    if differences:
        raise DemoFailed("; ".join(differences))


def show_summary(counts: dict[str, int], portal_requests: int, seconds: float) -> None:
    table = Table("mirrored", "rows")
    for name, rows in counts.items():
        table.add_row(name, f"{rows:,}")
    Console().print(table)
    click.echo(f"{sum(counts.values()):,} rows from {portal_requests} requests to the portal in {seconds:.1f} s")


async def find_linked_deal(client: GatewayClient) -> int | None:
    """The id of a mirrored deal that has a contact; None if there is none."""
    condition = quote('[["CONTACT_ID",">",0]]')
    page = await client.request("GET", f"/bitrix/deals?filter={condition}&size=1&select=TITLE")
    return page["items"][0]["id"] if page["items"] else None


def show_commands(origin: str, token: str, deal_id: int | None) -> None:
    """Print *token* as a variable assignment, and curl commands that use the variable. *deal_id* has a contact."""
    click.echo(f"\nTry these commands in another shell:\n\nTOKEN={token}\n")
    for options, path in (
        ("", "/bitrix/account"),
        ("", "/bitrix/users?page=1&size=2"),
        ("", "/bitrix/pipelines?size=5"),
        ("-g ", '/bitrix/deals?size=2&filter=[["STAGE_ID","=","NEW"]]'),
        *([] if deal_id is None else [("", f"/bitrix/deals/{deal_id}?related=contact.NAME,responsible.EMAIL")]),
        ("", "/bitrix/stream/deals?limit=3"),
        ("-X PATCH -i ", "/bitrix/users"),
    ):
        click.echo(f"curl {options}-H \"Authorization: Bearer $TOKEN\" '{origin}{path}'")
