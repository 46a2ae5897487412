"""The commands of `bitrix-gateway`."""

import asyncio
import dataclasses
import re
import ssl
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway import __version__
from gateway.__main__ import INTERRUPTED, PIPE_CLOSED
from gateway.auth.tokens import MAX_ACCOUNT_CHARACTERS, is_account, issue_token
from gateway.cli.demo import run_demo
from gateway.cli.demo_servers import choose_settings
from gateway.cli.forget_credentials import WHAT_NEXT, Credentials, forget_credentials
from gateway.cli.process import cannot_listen, run, until_signal
from gateway.cli.serve import run_gateway
from gateway.cli.stream import stream_rows
from gateway.cli.sync import sync_resources
from gateway.clock import SystemClock
from gateway.errors import GatewayError
from gateway.log import configure_logging
from gateway.mirror.resources import RESOURCES
from gateway.passthrough.streams import STREAMS
from gateway.redaction import printable
from gateway.sandbox.behaviour.cost import CostModel
from gateway.sandbox.behaviour.faults import MEANINGS
from gateway.sandbox.portal import SandboxPortal, SandboxSettings
from gateway.sandbox.query.listing import PAGE_ROWS
from gateway.sandbox.web.server import SandboxServer
from gateway.settings.config import SETTINGS, Config, load_config, read_environment
from gateway.settings.secret_file import find_jwt_secret

F = TypeVar("F", bound=Callable[..., Any])

DOTENV = Path(".env")
CLIENT_TOKEN_TTL_S = 86_400
PORT = click.IntRange(0, 65_535)
ITEMS = re.compile(r"items/[0-9]+")
STREAM_QUERY = ("filter", "select", "cursor", "limit", "pace", "version")
# What makes a token, and what reaches the gateway.
TOKEN_SETTINGS = (
    "database",
    "jwt_secret",
    "jwt_public_key_file",
    "jwks_file",
    "jwt_algorithms",
    "jwt_issuer",
    "jwt_audience",
    "account_claim",
)
ADDRESS_SETTINGS = ("host", "port")
# A line break is kept where click meets \b, a backspace, at the head of a paragraph.
FAULTS_TOLD = "\n".join(
    (
        "SPEC is METHOD:KIND, METHOD:KIND*3 for three times, METHOD:KIND* for ever, METHOD:KIND@2 after two calls",
        "that work. METHOD is one of the portal's, like user.get; * is any, oauth.token the address of tokens. KIND:",
        "",
        "\b",
        *(f"{kind:<22}{meaning}" for kind, meaning in MEANINGS.items()),
    )
)


COST_TOLD = (
    f"{CostModel.list_s * 1000:.0f} ms a list, {CostModel.counted_s_per_100k * 1000:.0f} ms more for every 100,000 "
    f"rows that it counts, {CostModel.skipped_s_per_1k * 1000:.2f} ms for every 1,000 that its offset skips"
)
# What a sandbox portal has, and in whose words.
SIZES = {
    "users": "Users of the portal.",
    "leads": "Its leads.",
    "deals": "Its deals; a million weigh little.",
    "contacts": "Its contacts.",
    "companies": "Its companies.",
    "quotes": "Its quotes.",
    "invoices": "Its smart invoices, and as many old ones.",
    "items": "Items of each of its smart processes.",
    "tasks": "Its tasks.",
    "eventlog": "Entries of its event log.",
}


def account_name(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """An account that the gateway takes."""
    if not is_account(value):
        raise click.BadParameter(f"must be one line of 1 to {MAX_ACCOUNT_CHARACTERS} printable characters")
    return value


class Commands(click.Group):
    """Commands whose refusals are one line on stderr and exit status 1."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().main(*arguments, **options)
        except OSError as error:  # a disk that is full, say, under what is written to
            click.echo(f"Error: {error.strerror}", err=True)
            sys.stdout = sys.stderr  # what could not be written is not tried again at the end
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            raise click.ClickException(printable(error.detail)) from error
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            sys.stdout = sys.stderr  # as above
            ctx.exit(PIPE_CLOSED)


def setting_options(*names: str, **other_words: str) -> Callable[[F], F]:
    """Options for the settings of these *names*, or for all; that of a secret's file is told with the secret.

    *other_words* are help texts for settings that mean something else to the command.
    """

    def decorate(command: F) -> F:
        for one in reversed(SETTINGS):
            if names and one.name not in names:
                continue
            told = one.environment_names[0] + (f", default {one.default}" if one.default else "")
            for file_flag, file_name in zip(one.flags[1:], one.environment_names[1:], strict=True):
                told += f"; its file: {file_flag}, {file_name}"
                command = click.option(file_flag, hidden=True)(command)
            command = click.option(
                one.flags[0], metavar="VALUE", help=f"{other_words.get(one.name, one.help)}  [{told}]"
            )(command)
        return command

    return decorate


def portal_options(**instead: int) -> Callable[[F], F]:
    """Options for what a sandbox portal has: how much of everything, with how many gaps, by which seed.

    Their defaults are those of the portal, with others *instead* of some.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(SandboxSettings)} | instead

    def option(name: str, kind: "click.ParamType[Any]", words: str) -> Callable[[F], F]:
        return click.option(f"--{name}", type=kind, default=defaults[name], show_default=True, help=words)

    def apply(command: F) -> F:
        command = option("seed", click.INT, "The same seed makes the same portal.")(command)
        share = click.FloatRange(0, 1, max_open=True)
        command = option("holes", share, "Share of ids that are missing, in clusters.")(command)
        for name, words in reversed(SIZES.items()):
            command = option(name, click.IntRange(1 if name == "users" else 0), words)(command)
        return command

    return apply


def read_config(settings: dict[str, str | None]) -> Config:
    """The settings from flags, else the environment, else `.env` in the working directory."""
    return load_config(read_environment(DOTENV), settings)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="bitrix-gateway")
def main() -> None:
    """One service between a company's own software and its Bitrix24 portals."""


@main.command()
@setting_options()
def serve(**settings: str | None) -> None:
    """Run the gateway until Ctrl-C.

    Each setting may come as a flag, as the environment variable named beside it, or in a file .env here.
    """

    config = read_config(settings)
    configure_logging(config.log_level, config.log_format)
    run(until_signal(run_gateway(config, SystemClock())))


@main.command()
@click.option("--port", type=PORT, help="Port of the gateway; 0 takes any free one.  [GATEWAY_PORT, default 8080]")
@click.option("--portal-port", type=PORT, default=8081, show_default=True, help="Port of the sandbox portal.")
@portal_options(users=2500)
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the mirror in this file; not given: a temporary one.  [GATEWAY_DATABASE]",
)
@click.option("--once", is_flag=True, help="Check the answers and end, instead of serving on.")
def demo(port: int | None, portal_port: int, database: Path | None, once: bool, **portal: Any) -> None:
    """Show the main job on this machine alone.

    Starts a sandbox portal and the gateway, connects and mirrors the one by the other, and serves until Ctrl-C. The
    settings of serve, from the environment or a file .env, count here too, except those that follow from the sandbox.
    """

    flags = {"port": port, "database": database}
    settings = choose_settings(read_environment(DOTENV), flags, portal_port, SandboxSettings(**portal))
    configure_logging(settings.config.log_level, settings.config.log_format)
    run(until_signal(run_demo(settings, SystemClock(), once=once)))


@main.command(epilog=FAULTS_TOLD)
@click.option("--port", type=PORT, default=8081, show_default=True, help="Port to listen on; 0 takes any free one.")
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False), help="Certificate (PEM), to speak https.")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False), help="Its private key (PEM).")
@portal_options()
@click.option(
    "--page",
    "page_rows",
    type=click.IntRange(1),
    default=PAGE_ROWS,
    show_default=True,
    help="Rows per page in REST version 2.",
)
@click.option(
    "--rest3-page",
    "rest3_page_rows",
    type=click.IntRange(1),
    help="Rows per page in REST 3.0, whatever larger limit is requested; by default "
    f"{PAGE_ROWS} for tasks, and the requested limit for the event log.",
)
@click.option("--cost", "with_cost", is_flag=True, help=f"Let lists take their time: {COST_TOLD}.")
@click.option(
    "--tariff",
    type=click.Choice(["standard", "enterprise", "off"]),
    default="standard",
    show_default=True,
    help="Whose limits hold; off: none.",
)
@click.option(
    "--redirect-uri",
    default="http://127.0.0.1:8080/webhook/create",
    show_default=True,
    help="Where the application wants people back.",
)
@click.option("--auto-allow", is_flag=True, help="Allow at once on the authorize page, instead of asking.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="SPEC",
    help="What shall go wrong, as told below. May be repeated.",
)
def sandbox(
    port: int, tls_cert: str | None, tls_key: str | None, faults: tuple[str, ...], with_cost: bool, **chosen: Any
) -> None:
    """Serve only an emulated portal, until Ctrl-C.

    What it saw is at /_sandbox/; POST {"fault": SPEC} to /_sandbox/faults sets a fault while it runs.
    """

    settings = SandboxSettings(cost=CostModel() if with_cost else None, **chosen)
    portal = SandboxPortal(settings, SystemClock())
    try:
        for spec in faults:
            portal.fault(spec)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    configure_logging("info", "console")
    run(until_signal(serve_portal(portal, port, tls_context(tls_cert, tls_key))))


async def serve_portal(portal: SandboxPortal, port: int, context: ssl.SSLContext | None) -> None:
    """Serve *portal* until cancelled, having said where and how it is reached.

    Raises:
        SettingsError: when the port is taken.
    """
    async with AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(SandboxServer(portal, port=port, ssl_context=context))
        except OSError as error:
            raise cannot_listen("127.0.0.1", port, error) from error
        application = portal.application
        click.echo(f"Portal:          {server.origin}")
        click.echo(f"Inbound webhook: {server.origin}{portal.webhook_path}")
        click.echo(f"Application:     {application.client_id}, secret {application.client_secret}")
        click.echo(f"Sends people to: {application.redirect_uri}")
        await asyncio.Event().wait()


def tls_context(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    """What a server speaks https with; None where neither file is named."""
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise click.UsageError("--tls-cert and --tls-key go together")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:
        raise click.UsageError(
            f"--tls-cert {cert} and --tls-key {key}: not a certificate with its key ({error.strerror})"
        ) from error
    return context


@main.command()
@click.option("--account", metavar="ID", required=True, callback=account_name, help="The account that the token names.")
@click.option("--ttl", "ttl_s", type=click.IntRange(1), default=3600, show_default=True, help="Seconds it is good for.")
@setting_options(*TOKEN_SETTINGS)
def token(account: str, ttl_s: int, **settings: str | None) -> None:
    """Print a bearer token for an account, alone on one line."""
    config = read_config(settings)
    click.echo(issue_token(config, find_jwt_secret(config), SystemClock(), account, ttl_s=ttl_s))


@main.command("forget-credentials")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@setting_options("database")
def forget(yes: bool, **settings: str | None) -> None:
    """Wipe all credentials when their key is lost.

    The gateway must not be running. Accounts, mirror and rules stay; every portal must be authorized again.
    """

    config = read_config(settings)
    if not yes and not sys.stdin.isatty():
        raise click.ClickException("this asks before it wipes anything, and there is no terminal: give --yes")

    def agrees(found: Credentials) -> bool:
        return yes or click.confirm(f"Wipe the credentials of {found} in {config.database}? They cannot be restored")

    configure_logging("warning", "console")
    wiped = run(forget_credentials(config, SystemClock(), agrees))
    if wiped is None:
        raise click.ClickException("nothing was wiped")
    click.echo(f"Wiped the credentials of {wiped}. {WHAT_NEXT}")


@main.command()
@click.argument("resources", nargs=-1, required=True, metavar="RESOURCE...", type=click.Choice(list(RESOURCES)))
@click.option(
    "--account",
    metavar="ID",
    required=True,
    callback=account_name,
    help="The account whose mirror is brought up to date.",
)
@setting_options(*TOKEN_SETTINGS, *ADDRESS_SETTINGS, host="Host of the running gateway.", port="Its port.")
def sync(resources: tuple[str, ...], account: str, **settings: str | None) -> None:
    """Let the running gateway mirror RESOURCEs, and watch.

    A RESOURCE is one of users, steps, pipelines, fields.
    """

    config = read_config(settings)
    bearer = issue_token(config, find_jwt_secret(config), SystemClock(), account, ttl_s=CLIENT_TOKEN_TTL_S)
    if not run(sync_resources(config, bearer, list(dict.fromkeys(resources)), SystemClock())):
        sys.exit(1)


def streamed_list(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """A list that the gateway streams."""
    if value not in STREAMS and not ITEMS.fullmatch(value):
        raise click.BadParameter(f"is one of {', '.join(STREAMS)}, items/TYPE")
    return value


@main.command()
@click.argument("resource", metavar="RESOURCE", callback=streamed_list)
@click.option("--account", metavar="ID", required=True, callback=account_name, help="The account whose portal is read.")
@click.option("--filter", metavar="JSON", help="Which rows, as the portal's own method takes it.")
@click.option("--select", metavar="NAMES", help="Which fields, with commas between them; the id always comes.")
@click.option("--cursor", type=click.IntRange(0), help="Rows beyond this id.")
@click.option("--limit", type=click.IntRange(1), help="The most rows.")
@click.option("--pace", type=click.Choice(["eager", "thrifty"]), help="For speed (default), or the fewest requests.")
@click.option("--version", type=click.Choice(["2", "3"]), help="Which REST tasks are read by.")
@setting_options(*TOKEN_SETTINGS, *ADDRESS_SETTINGS, host="Host of the running gateway.", port="Its port.")
def stream(resource: str, account: str, **options: Any) -> None:
    """Let the running gateway read RESOURCE from the portal.

    A RESOURCE is one of users, leads, deals, contacts, companies, quotes, invoices, tasks, eventlog, or items/TYPE with
    the number of a type. Rows come as lines of JSON on stdout, progress on stderr. The exit status is 0 only if all
    rows came, or as many as --limit lets through; else 1, and stderr says why and by which --cursor to go on.
    """

    query = {name: str(options.pop(name)) for name in STREAM_QUERY if options[name] is not None}
    config = read_config({name: value for name, value in options.items() if name not in STREAM_QUERY})
    bearer = issue_token(config, find_jwt_secret(config), SystemClock(), account, ttl_s=CLIENT_TOKEN_TTL_S)
    run(stream_rows(config, bearer, resource, query, sys.stdout.buffer))
