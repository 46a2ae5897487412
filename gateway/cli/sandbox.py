"""The command `sandbox`: an emulated portal."""

import asyncio
import ssl
from contextlib import AsyncExitStack
from typing import Any

import click

from gateway.cli.options import PORT, portal_options
from gateway.cli.process import cannot_listen, run, until_signal
from gateway.clock import SystemClock
from gateway.log import configure_logging
from gateway.sandbox.behaviour.cost import CostModel
from gateway.sandbox.behaviour.faults import MEANINGS
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.query.listing import PAGE_ROWS
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.web.server import SandboxServer

# click keeps the line breaks of a paragraph that begins with \b, a backspace.
FAULTS_HELP = "\n".join(
    (
        "SPEC is METHOD:KIND. Append *3 to inject the fault three times, * for every call, *10% for a tenth of them at",
        "random, @2 to skip two calls first. METHOD is a method of the portal, like user.get; * means any method,",
        "request any HTTP request (a single call, or a batch as a whole), oauth.token the token endpoint, upload and",
        "download the links to the files of Disk. KIND:",
        "",
        "\b",
        *(f"{kind:<22}{meaning}" for kind, meaning in MEANINGS.items()),
    )
)
COST_HELP = (
    f"Simulate the time that lists take: {CostModel.list_s * 1000:.0f} ms per list, plus "
    f"{CostModel.counted_s_per_100k * 1000:.0f} ms per 100,000 rows counted, plus "
    f"{CostModel.skipped_s_per_1k * 1000:.2f} ms per 1,000 rows skipped by an offset."
)


@click.command(epilog=FAULTS_HELP)
@click.option("--port", type=PORT, default=8081, show_default=True, help="Port to listen on; 0 picks a free port.")
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False), help="Certificate (PEM); enables https.")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False), help="Private key of the certificate (PEM).")
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
    help="Rows per page in REST 3.0, even if a larger limit is requested. Default: "
    f"{PAGE_ROWS} for tasks, the requested limit for the event log.",
)
@click.option("--cost", "with_cost", is_flag=True, help=COST_HELP)
@click.option(
    "--tariff",
    type=click.Choice(["standard", "enterprise", "off"]),
    default="standard",
    show_default=True,
    help="Plan whose rate limits apply; off disables them.",
)
@click.option(
    "--redirect-uri",
    default="http://127.0.0.1:8080/webhook/create",
    show_default=True,
    help="Redirect address of the OAuth application.",
)
@click.option("--auto-allow", is_flag=True, help="Skip the consent page: allow every authorization.")
@click.option(
    "--fault", "faults", multiple=True, metavar="SPEC", help="Fault to inject, as described below. Repeatable."
)
def sandbox(
    port: int, tls_cert: str | None, tls_key: str | None, faults: tuple[str, ...], with_cost: bool, **options: Any
) -> None:
    """Serve an emulated portal until Ctrl-C.

    GET /_sandbox/ shows its counters; POST {"fault": SPEC} to /_sandbox/faults injects a fault at run time.
    POST {"placement": CODE} to /_sandbox/open opens a widget that an application has bound.
    GET /_sandbox/disk/FOLDER shows the files in a folder of Disk.
    """
    settings = SandboxSettings(cost=CostModel() if with_cost else None, **options)
    portal = SandboxPortal(settings, SystemClock())
    try:
        for spec in faults:
            portal.fault(spec)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    configure_logging("info", "console")
    run(until_signal(serve_portal(portal, port, tls_context(tls_cert, tls_key))))


async def serve_portal(portal: SandboxPortal, port: int, context: ssl.SSLContext | None) -> None:
    """Serve *portal* until cancelled; print its addresses and credentials first.

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
        click.echo(f"Redirects to:    {application.redirect_uri}")
        await asyncio.Event().wait()


def tls_context(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    """A server context with this certificate; None when neither file is given.

    Raises:
        click.UsageError: when only one is given, or the files do not fit together.
    """
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise click.UsageError("--tls-cert and --tls-key must be given together")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:
        raise click.UsageError(
            f"--tls-cert {cert} and --tls-key {key}: not a certificate with its key ({error.strerror})"
        ) from error
    return context
