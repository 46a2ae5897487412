"""The commands `upload` and `download`: files of Disk, through the running gateway."""

import signal
import sys
from pathlib import Path

import click

from gateway.auth.caller import Caller
from gateway.cli.bearer import issue_bearer
from gateway.cli.download import download_files, print_file
from gateway.cli.file_lines import FileLines
from gateway.cli.local_files import check_files
from gateway.cli.options import account_option, gateway_options, read_config
from gateway.cli.process import run, stopped_by
from gateway.cli.saved_files import Destination
from gateway.cli.upload import upload_files
from gateway.clock import SystemClock
from gateway.redaction import printable

STDOUT = Path("-")

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON line for each file, also for those that failed."
)


def validate_ids(_context: click.Context, _parameter: click.Parameter, ids: tuple[int, ...]) -> tuple[int, ...]:
    twice = sorted({file_id for file_id in ids if ids.count(file_id) > 1})
    if twice:
        raise click.BadParameter(f"{', '.join(map(str, twice))} given twice")
    return ids


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--folder", metavar="ID", type=click.IntRange(1), required=True, help="Folder of Disk to upload to.")
@click.option("--no-unique", is_flag=True, help="Refuse a file whose name is taken. By default it gets a number.")
@account_option("Account whose portal stores the files.")
@json_option
@gateway_options
def upload(
    paths: tuple[Path, ...], folder: int, no_unique: bool, account: str, as_json: bool, **settings: str | None
) -> None:
    """Upload FILEs to a folder of Disk.

    They are sent through the running gateway. A FILE has up to 50 MiB. All are checked first: nothing is sent if one of
    them cannot be read, is a directory or too large, or is given twice. Any number of files is sent, up to 100 in a
    request. Each that is stored is a line on stdout: its id, a tab and its name on the portal. One that fails does not
    stop the others, and is a line on stderr with its code and the reason. The code outcome_unknown says that the file
    may be stored nevertheless.

    The exit status is 0 if all files are stored, 1 if one is not, and 2 if nothing was sent because of a mistake.
    """
    files, mistakes = check_files(paths)
    if mistakes:
        raise click.UsageError("\n".join(["nothing was sent:", *map(printable, mistakes)]))
    config = read_config(settings)
    lines = FileLines(subject="path", result="name", as_json=as_json)
    query = {"folder": str(folder), "unique": "0" if no_unique else "1"}
    uploading = upload_files(config, issue_bearer(config, Caller(account)), files, query, SystemClock(), lines.show)
    run(stopped_by([signal.SIGTERM], uploading))
    lines.check()


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...", type=click.IntRange(1), callback=validate_ids)
@click.option(
    "--to",
    "directory",
    metavar="DIRECTORY",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    help="Existing directory for the files. Default: the current one.",
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Store the only file as FILE; - writes it to stdout.",
)
@click.option("--force", is_flag=True, help="Replace files that exist.")
@account_option("Account whose portal has the files.")
@json_option
@gateway_options
def download(
    ids: tuple[int, ...],
    directory: Path | None,
    output: Path | None,
    force: bool,
    account: str,
    as_json: bool,
    **settings: str | None,
) -> None:
    """Download files of Disk by their IDs.

    They come through the running gateway. A file gets the name that it has on the portal, without any path and control
    characters. It appears only once it is complete, and replaces another one only with --force. A connection that is
    lost, or silent for two minutes, is continued where it was. Each file that is stored is a line on stdout: its id, a
    tab and its path. One that fails does not stop the others, and is a line on stderr with its code and the reason.

    The exit status is 0 if all files are stored, 1 if one is not, and 2 if nothing was done because of a mistake.
    """
    if output is not None:
        check_output(output, ids, directory, as_json=as_json)
    config = read_config(settings)
    bearer = issue_bearer(config, Caller(account))
    if output == STDOUT:
        run(print_file(config, bearer, ids[0], sys.stdout.buffer, SystemClock()))
        return
    destination = Destination(directory or Path(), output, force)
    lines = FileLines(subject="id", result="path", as_json=as_json)
    downloading = download_files(config, bearer, ids, destination, SystemClock(), lines.show)
    run(stopped_by([signal.SIGTERM], downloading))
    lines.check()


def check_output(output: Path, ids: tuple[int, ...], directory: Path | None, *, as_json: bool) -> None:
    """Check that --output fits the other arguments.

    Raises:
        click.UsageError: it does not.
    """
    mistakes = []
    if len(ids) > 1:
        mistakes.append("--output takes one ID")
    if directory is not None:
        mistakes.append("--output cannot be combined with --to")
    if output == STDOUT and as_json:
        mistakes.append("--output - cannot be combined with --json")
    if output != STDOUT and not output.parent.is_dir():
        mistakes.append(f"--output: there is no directory {printable(str(output.parent))}")
    if mistakes:
        raise click.UsageError("; ".join(mistakes))
