"""The command `widgets`: loads, lists and removes widgets of the catalogue, also beside a running gateway."""

from dataclasses import asdict, fields
from pathlib import Path

import click
import orjson

from gateway.cli.options import read_config, setting_options
from gateway.cli.process import run
from gateway.cli.widget_changes import ListedWidget, count_installations, list_widgets, load_files, remove_widgets
from gateway.clock import SystemClock
from gateway.log import configure_logging
from gateway.redaction import printable
from gateway.widgets.loading import ManifestsRefused

COLUMNS = [field.name for field in fields(ListedWidget)]
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group()
def widgets() -> None:
    """Load, list and remove widgets.

    The commands change the database, whether the gateway is running or not. A running gateway serves a change within a
    second; the commands return after that second.
    """


@widgets.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@json_option
@setting_options("database", "encryption_key")
def load(paths: tuple[Path, ...], as_json: bool, **settings: str | None) -> None:
    """Load manifests as public widgets.

    PATH is a JSON file with one manifest or a list of them, or a directory whose *.json files are read. A code that is
    new is added. A new manifest of a known code is a new version: installations follow it if they miss no setting of
    it. All files are checked first: a mistake in any of them stores nothing. Creates the database, and its
    encryption key beside it, if there is none yet.
    """
    config = read_config(settings)
    configure_logging("warning", "console")
    try:
        loaded = run(load_files(config, paths, SystemClock()))
    except ManifestsRefused as refused:
        for mistake in refused.mistakes:
            click.echo(printable(str(mistake)), err=True)
        raise click.ClickException("nothing was stored") from refused
    if as_json:
        _print_json([asdict(each) for each in loaded])
        return
    for each in loaded:
        versions = {"updated": f"{each.previous} -> {each.version}", "added": each.version, "unchanged": ""}
        click.echo(printable(f"{each.status} {each.code} {versions[each.status]}".rstrip()))


@widgets.command("list")
@json_option
@setting_options("database")
def list_command(as_json: bool, **settings: str | None) -> None:
    """List the widgets of all accounts."""
    config = read_config(settings)
    configure_logging("warning", "console")
    rows = [asdict(each) for each in run(list_widgets(config))]
    if as_json:
        _print_json(rows)
        return
    shown = [COLUMNS, *([printable("" if cell is None else str(cell)) for cell in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for line in shown:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@widgets.command()
@click.argument("codes", nargs=-1, required=True, metavar="CODE...")
@click.option("--force", is_flag=True, help="Remove installed widgets too, with their installations.")
@setting_options("database")
def remove(codes: tuple[str, ...], force: bool, **settings: str | None) -> None:
    """Remove widgets with all their versions.

    Removes all CODEs, or none if one is unknown, or is installed and --force is not given. With --force, the
    installations and their settings are removed too. The gateway unbinds their placements on the portals within a
    minute; if it is not running, after its next start.
    """
    config = read_config(settings)
    configure_logging("warning", "console")
    for code, installations in run(remove_widgets(config, codes, SystemClock(), force=force)).items():
        click.echo(f"removed {code}" + (f" ({count_installations(installations)})" if installations else ""))


def _print_json(rows: list[dict[str, object]]) -> None:
    click.echo(orjson.dumps(rows))
