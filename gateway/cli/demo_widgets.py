"""The widgets of the demo: it loads two example manifests, installs both, and opens one on the portal."""

from importlib.resources import as_file, files

import click
import orjson
from yarl import URL

from gateway.cli.demo_flow import FlowFailed
from gateway.cli.gateway_client import GatewayClient
from gateway.cli.widget_changes import load_files
from gateway.clock import Clock
from gateway.settings.config import Config

TELEPHONY, DEAL_TAB = "example_telephony", "example_deal_tab"
SETTINGS: dict[str, dict[str, object]] = {
    TELEPHONY: {
        "login": "zoe",
        "password": "demo",
        "phones": {"1": "101"},
        "accounts": {"1": {"login": "zoe", "password": "demo"}},
        "rules": [{"from": "09:00", "to": "18:00"}],
    },
    DEAL_TAB: {"api_key": "demo"},
}
OPENING = {"placement": "CRM_DEAL_DETAIL_TAB", "options": {"ID": "1"}}
SEE_OTHER = 303


async def load_examples(config: Config, clock: Clock) -> None:
    """Load the example manifests into the database of *config*.

    Raises:
        ManifestsRefused: an account has a widget with the code of an example.
        SettingsError: the database cannot be used.
    """
    with as_file(files("gateway.cli") / "example_widgets") as examples:
        await load_files(config, [examples], clock)


async def try_widgets(client: GatewayClient, portal_client: GatewayClient, *, can_bind: bool) -> None:
    """List the widgets and install both examples with the *client* of an administrator; open one on the portal.

    Unless the portal *can_bind* handlers at the gateway's address, the example with a placement is left out.

    Raises:
        RequestFailed: a request failed; FlowFailed: the gateway shows something else.
    """
    click.echo("Widgets:")
    page = await client.request("GET", "/api/v4/widgets?limit=250")
    codes = {widget["code"] for widget in page["_embedded"]["widgets"]}
    if not {TELEPHONY, DEAL_TAB} <= codes:
        raise FlowFailed(f"the gateway lists the widgets {sorted(codes)}")
    click.echo(f"  listed {len(codes)} widgets: GET /api/v4/widgets?limit=250")
    for code, settings in SETTINGS.items():
        if code == DEAL_TAB and not can_bind:
            click.echo(f"  not installed {code}: a portal opens nothing at a host without a dot, such as localhost")
            continue
        installed = await client.request("POST", f"/api/v4/widgets/{code}", settings)
        if (installed["is_active_in_account"], installed["settings"]) != (True, settings):
            raise FlowFailed(f"the gateway shows {installed} after the installation")
        click.echo(f"  installed {code}: POST /api/v4/widgets/{code} with {', '.join(settings)}")
    if not can_bind:
        return
    opened = await portal_client.request("POST", "/_sandbox/open", OPENING)
    status, location = opened["response"]["status"], URL(opened["response"]["headers"].get("Location", ""))
    if status != SEE_OTHER or "context" not in location.query:
        raise FlowFailed(f"the gateway answers {opened['response']} to the opening of a widget")
    click.echo(f"  opened {DEAL_TAB} on the portal: POST /_sandbox/open {orjson.dumps(OPENING).decode()}")
    click.echo(f"  the browser is sent to {location.with_query(None)} with a context")
