"""The widgets of the demo: it loads two example manifests, and installs one of them."""

from importlib.resources import as_file, files

import click

from gateway.cli.demo_flow import FlowFailed
from gateway.cli.gateway_client import GatewayClient
from gateway.cli.widget_changes import load_files
from gateway.clock import Clock
from gateway.settings.config import Config

TELEPHONY, DEAL_TAB = "example_telephony", "example_deal_tab"
SETTINGS = {
    "login": "zoe",
    "password": "demo",
    "phones": {"1": "101"},
    "accounts": {"1": {"login": "zoe", "password": "demo"}},
    "rules": [{"from": "09:00", "to": "18:00"}],
}


async def load_examples(config: Config, clock: Clock) -> None:
    """Load the example manifests into the database of *config*.

    Raises:
        ManifestsRefused: an account has a widget with the code of an example.
        SettingsError: the database cannot be used.
    """
    with as_file(files("gateway.cli") / "example_widgets") as examples:
        await load_files(config, [examples], clock)


async def try_widgets(client: GatewayClient) -> None:
    """List the widgets, and install one, with the *client* of an administrator.

    Raises:
        RequestFailed: a request failed; FlowFailed: the gateway shows something else.
    """
    click.echo("Widgets:")
    page = await client.request("GET", "/api/v4/widgets?limit=250")
    codes = {widget["code"] for widget in page["_embedded"]["widgets"]}
    if not {TELEPHONY, DEAL_TAB} <= codes:
        raise FlowFailed(f"the gateway lists the widgets {sorted(codes)}")
    click.echo(f"  listed {len(codes)} widgets: GET /api/v4/widgets?limit=250")
    installed = await client.request("POST", f"/api/v4/widgets/{TELEPHONY}", SETTINGS)
    if (installed["is_active_in_account"], installed["settings"]) != (True, SETTINGS):
        raise FlowFailed(f"the gateway shows {installed} after the installation")
    click.echo(f"  installed {TELEPHONY}: POST /api/v4/widgets/{TELEPHONY} with {len(SETTINGS)} settings")
