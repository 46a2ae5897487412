"""The tour: a sandbox portal and the gateway in one process, and an ordinary HTTP client that tries them."""

from typing import Any

import click
from aiohttp import ClientSession
from rich.console import Console
from rich.table import Table

from gateway.auth.tokens import issue_token
from gateway.bitrix.rows.dictionaries import FIELD_TYPES, SHOWN_AS
from gateway.cli.demo_servers import DemoSettings, demo_servers
from gateway.cli.gateway_client import GatewayClient, RequestFailed, connected
from gateway.cli.serve import serve_until_stopped
from gateway.cli.sync import watch
from gateway.clock import Clock
from gateway.mirror.resources import PIPELINE_ENTITY_TYPES, RESOURCES, SMART_INVOICE_FIELDS, USERFIELDS
from gateway.sandbox.portal import SandboxPortal

ACCOUNT = "demo"
TOKEN_TTL_S = 86_400


class TourFailed(RequestFailed):
    """the tour found something else than the portal has"""

    code = "tour_failed"


async def run_demo(settings: DemoSettings, clock: Clock, *, once: bool) -> None:
    """Start both, go round, say what was seen; then keep serving unless *once*.

    Raises:
        SettingsError: when one of them cannot start.
        RequestFailed: when an answer is not what it must be; it names the difference.
    """
    if settings.unused:
        click.echo(f"The demo uses values of its own for {', '.join(settings.unused)}.", err=True)
    async with demo_servers(settings, clock) as demo:
        config, portal = demo.config, demo.portal
        assert demo.secrets.jwt_secret is not None, "a demo signs its own tokens"
        token = issue_token(config, demo.secrets.jwt_secret, clock, ACCOUNT, ttl_s=TOKEN_TTL_S)
        click.echo(f"Sandbox portal at {demo.portal_origin}, gateway at {config.own_origin}")
        started = clock.monotonic()
        async with connected(config.own_origin, token) as client:
            await connect(client, demo.portal_origin)
            click.echo("Connected an account over OAuth; now the first sync:")
            for status in await watch(client, list(RESOURCES), clock):
                if status.state != "done":
                    raise TourFailed(str(status))
            seconds = clock.monotonic() - started
            served = {name: await load_rows(client, name) for name in RESOURCES}
            check_rows(served, portal)
        show_summary({name: len(rows) for name, rows in served.items()}, portal.http_requests, seconds)
        if once:
            click.echo("Every row served is as the portal has it.")
        else:
            show_commands(config.own_origin, token)
            click.echo("\nServing until Ctrl-C.")
            await serve_until_stopped(demo.app, config, clock)


async def connect(client: GatewayClient, portal_origin: str) -> None:
    """Tie the account to the portal as a person would: open the authorization address, allow, be sent back."""
    await client.request("DELETE", "/bitrix/account")  # what an earlier demo left in the same database
    account = await client.request("POST", "/bitrix/account", {"client_bitrix_url": portal_origin})
    async with ClientSession() as browser, browser.get(account["authorizeURL"]) as page:
        if page.status != 200 or page.url.path != "/connected":
            raise TourFailed(f"the authorization ended at {page.url.path} with {page.status}: {await page.text()}")
    account = await client.request("GET", "/bitrix/account")
    if account["stale"]:
        raise TourFailed("the account is stale right after its authorization")


async def load_rows(client: GatewayClient, resource: str) -> list[dict[str, Any]]:
    """The rows of *resource* that the gateway serves, page after page to the end, each once."""
    rows: list[dict[str, Any]] = []
    page_number = 1
    while True:
        page: dict[str, Any] = await client.request("GET", f"/bitrix/{resource}?page={page_number}&size=1000")
        rows += page["items"]
        if not page["items"] or len(rows) >= page["count"]:
            break
        page_number += 1
    different = len({row.get("ID", row.get("id")) for row in rows})
    if different != page["count"]:
        raise TourFailed(f"{resource}: {page['count']} rows are counted, {different} different ones are listed")
    return rows


# The properties by which served rows are compared with the portal's; `portal_rows` has them in this order.
COMPARED = {
    "users": ("bitrixUserID", "name"),
    "steps": ("bitrixID", "name"),
    "pipelines": ("entityTypeId", "bitrixID", "name"),
    "fields": ("entityID", "bitrixID", "fieldName", "fieldType"),
}


def portal_rows(portal: SandboxPortal) -> dict[str, set[tuple[object, ...]]]:
    """What the mirror of *portal* must show."""
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
            (entity, row["ID"], row["FIELD_NAME"], SHOWN_AS.get(row["USER_TYPE_ID"], row["USER_TYPE_ID"]))
            for entity in entities
            for row in data.userfields[entity].values()
            if row["USER_TYPE_ID"] in FIELD_TYPES | SHOWN_AS.keys()
        },
    }


def check_rows(served: dict[str, list[dict[str, Any]]], portal: SandboxPortal) -> None:
    """Compare what is served with what the portal has.

    Raises:
        TourFailed: naming each resource that differs.
    """
    wrong = []
    for name, expected in portal_rows(portal).items():
        found = {tuple(row[one] for one in COMPARED[name]) for row in served[name]}
        if len(found) != len(expected):
            wrong.append(f"{name}: {len(found)} rows are served, the portal has {len(expected)}")
        elif found != expected:
            wrong.append(f"{name}: {min(found - expected)} is served, the portal has {min(expected - found)}")
    if wrong:
        raise TourFailed("; ".join(wrong))


def show_summary(counts: dict[str, int], portal_requests: int, seconds: float) -> None:
    table = Table("mirrored", "rows")
    for name, rows in counts.items():
        table.add_row(name, f"{rows:,}")
    Console().print(table)
    click.echo(f"{sum(counts.values()):,} rows from {portal_requests} requests to the portal in {seconds:.1f} s")


def show_commands(origin: str, token: str) -> None:
    """The token as a line that sets a variable, good for a day, and requests that use it."""
    click.echo(f"\nTry it in another shell:\n\nTOKEN={token}\n")
    for method, path in (
        ("", "/bitrix/account"),
        ("", "/bitrix/users?page=1&size=2"),
        ("", "/bitrix/pipelines?size=5"),
        ("", "/bitrix/stream/deals?limit=3"),
        ("-X PATCH -i ", "/bitrix/users"),
    ):
        click.echo(f"curl {method}-H \"Authorization: Bearer $TOKEN\" '{origin}{path}'")
