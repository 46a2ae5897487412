"""The command line: `bitrix-gateway` and its commands."""

import sys
from pathlib import Path
from typing import Any

import click

from gateway import __version__
from gateway.auth.caller import Caller
from gateway.cli.bearer import issue_bearer
from gateway.cli.demo import run_demo
from gateway.cli.demo_servers import choose_settings
from gateway.cli.exit_status import INTERRUPTED, PIPE_CLOSED, STOPPED
from gateway.cli.files import download, upload
from gateway.cli.forget_credentials import NEXT_STEPS, CredentialCount, forget_credentials
from gateway.cli.options import (
    CALLER_SETTINGS,
    DOTENV,
    PORT,
    TOKEN_SETTINGS,
    account_option,
    gateway_options,
    portal_options,
    read_config,
    setting_options,
    validate_identifier,
    validate_resources,
    validate_stream,
    validate_uuid,
)
from gateway.cli.process import Stopped, run, until_signal
from gateway.cli.sandbox import sandbox
from gateway.cli.serve import run_gateway
from gateway.cli.stream import stream_rows
from gateway.cli.sync import sync_resources
from gateway.cli.widgets import widgets
from gateway.clock import SystemClock
from gateway.errors import GatewayError
from gateway.log import configure_logging
from gateway.redaction import printable
from gateway.sandbox.settings import SandboxSettings
from gateway.settings.config import read_environment

STREAM_QUERY = ("filter", "select", "cursor", "limit", "pace", "version", "source")


class Commands(click.Group):
    """Commands that report an error as one line on stderr and exit status 1."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().main(*arguments, **options)
        except OSError as error:  # for example, stdout is on a full disk
            click.echo(f"Error: {error.strerror}", err=True)
            sys.stdout = sys.stderr  # so that the interpreter does not flush stdout again at exit
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            raise click.ClickException(printable(error.detail)) from error
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except Stopped as stopped:
            ctx.exit(STOPPED + stopped.number)
        except BrokenPipeError:
            sys.stdout = sys.stderr  # as above
            ctx.exit(PIPE_CLOSED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="bitrix-gateway")
def main() -> None:
    """One service between a company's own software and its Bitrix24 portals."""


main.add_command(sandbox)
main.add_command(widgets)
main.add_command(upload)
main.add_command(download)


@main.command()
@setting_options()
def serve(**settings: str | None) -> None:
    """Run the gateway until Ctrl-C.

    Settings come from flags, from the environment variables shown beside them, or from the file .env in this directory.
    """
    config = read_config(settings)
    configure_logging(config.log_level, config.log_format)
    run(until_signal(run_gateway(config, SystemClock())))


@main.command()
@click.option("--port", type=PORT, help="Port of the gateway; 0 picks a free port.  [GATEWAY_PORT, default 8080]")
@click.option("--portal-port", type=PORT, default=8081, show_default=True, help="Port of the sandbox portal.")
@portal_options(users=2500)
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the mirror in this file. Default: a temporary file.  [GATEWAY_DATABASE]",
)
@click.option("--once", is_flag=True, help="Run once, verify the answers and exit.")
def demo(port: int | None, portal_port: int, database: Path | None, once: bool, **portal: Any) -> None:
    """Run the gateway with a sandbox portal.

    Connects an account to the portal, mirrors it, and serves until Ctrl-C. Accepts the settings of serve, from the
    environment or the file .env, except those that the sandbox determines.
    """
    flags = {"port": port, "database": database}
    settings = choose_settings(read_environment(DOTENV), flags, portal_port, SandboxSettings(**portal))
    configure_logging(settings.config.log_level, settings.config.log_format)
    run(until_signal(run_demo(settings, SystemClock(), once=once)))


@main.command()
@account_option("Account that the token identifies.")
@click.option("--user", "user_id", metavar="ID", callback=validate_identifier, help="User that the token identifies.")
@click.option("--admin", "is_admin", is_flag=True, help="The token is an administrator's.")
@click.option("--client-uuid", metavar="UUID", callback=validate_uuid, help="Integration that the token identifies.")
@click.option(
    "--ttl", "ttl_s", type=click.IntRange(1), default=3600, show_default=True, help="Lifetime of the token in seconds."
)
@setting_options(*TOKEN_SETTINGS, *CALLER_SETTINGS)
def token(
    account: str, user_id: str | None, is_admin: bool, client_uuid: str | None, ttl_s: int, **settings: str | None
) -> None:
    """Print a bearer token for an account."""
    caller = Caller(account, user_id=user_id, is_admin=is_admin, client_uuid=client_uuid)
    click.echo(issue_bearer(read_config(settings), caller, ttl_s))


@main.command("forget-credentials")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@setting_options("database")
def forget(yes: bool, **settings: str | None) -> None:
    """Delete credentials whose key is lost.

    Deletes all stored credentials, the settings of all installed widgets, and the key that signs the contexts of
    widgets. The gateway must not be running. Accounts, the mirror and rules stay, and widgets stay installed; every
    portal must be authorized again, and widgets with settings installed again.
    """
    config = read_config(settings)
    if not yes and not sys.stdin.isatty():
        raise click.ClickException("this command asks for confirmation and there is no terminal: give --yes")

    def confirm(found: CredentialCount) -> bool:
        question = f"Delete the credentials of {found} in {config.database}, and the settings of all installed widgets?"
        return yes or click.confirm(f"{question} They cannot be restored")

    configure_logging("warning", "console")
    deleted = run(forget_credentials(config, SystemClock(), confirm))
    if deleted is None:
        raise click.ClickException("nothing was deleted")
    click.echo(f"Deleted the credentials of {deleted}. {NEXT_STEPS}")


@main.command()
@click.argument("resources", nargs=-1, required=True, metavar="RESOURCE...", callback=validate_resources)
@account_option("Account whose mirror is updated.")
@click.option("--enable", is_flag=True, help="Mirror the RESOURCEs from now on, if they are not mirrored yet.")
@click.option(
    "--mode", type=click.Choice(["full", "incremental"]), help="What to read. By default only changes, where possible."
)
@gateway_options
def sync(resources: tuple[str, ...], account: str, enable: bool, mode: str | None, **settings: str | None) -> None:
    """Sync RESOURCEs in the running gateway.

    Shows progress until all syncs have ended. RESOURCE is one of users, steps, pipelines, fields, leads, deals,
    contacts, companies, quotes, invoices, or items/TYPE, where TYPE is an entity type id. All but the first four are
    mirrored only once they are enabled.
    """
    config = read_config(settings)
    bearer = issue_bearer(config, Caller(account))
    names = list(dict.fromkeys(resources))
    if not run(sync_resources(config, bearer, names, SystemClock(), enable=enable, mode=mode)):
        sys.exit(1)


@main.command()
@click.argument("resource", metavar="RESOURCE", callback=validate_stream)
@account_option("Account whose portal is read.")
@click.option("--source", type=click.Choice(["portal", "mirror"]), help="Source of the rows (default: portal).")
@click.option(
    "--filter",
    metavar="JSON",
    help="Filter, in the format of the portal's own method; for the mirror, a list of conditions.",
)
@click.option("--select", metavar="NAMES", help="Fields to return, separated by commas; the id is always included.")
@click.option("--cursor", type=click.IntRange(0), help="Only rows with a larger id.")
@click.option("--limit", type=click.IntRange(1), help="Maximum number of rows.")
@click.option(
    "--pace", type=click.Choice(["eager", "thrifty"]), help="eager (default): fastest; thrifty: fewest requests."
)
@click.option("--version", type=click.Choice(["2", "3"]), help="REST version, for tasks only.")
@gateway_options
def stream(resource: str, account: str, **options: Any) -> None:
    """Stream RESOURCE through the running gateway.

    RESOURCE is one of users, leads, deals, contacts, companies, quotes, invoices, tasks, eventlog, or items/TYPE, where
    TYPE is an entity type id. Rows are JSON lines on stdout; progress goes to stderr. The exit status is 0 if all rows,
    or as many as --limit allows, were received. Otherwise it is 1, and stderr shows the reason and the --cursor to
    continue from.
    """
    query = {name: str(options.pop(name)) for name in STREAM_QUERY if options[name] is not None}
    config = read_config({name: value for name, value in options.items() if name not in STREAM_QUERY})
    run(stream_rows(config, issue_bearer(config, Caller(account)), resource, query, sys.stdout.buffer))
