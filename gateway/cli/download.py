"""The command `download`: stores files of Disk on this machine through the running gateway."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import BinaryIO

from gateway.cli.file_lines import Line, error_of, path_text
from gateway.cli.gateway_client import GatewayClient, local_origin, open_client
from gateway.cli.progress import show_bytes
from gateway.cli.remote_file import RemoteFile
from gateway.cli.saved_files import Destination
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.redaction import printable
from gateway.settings.config import Config


async def download_files(
    config: Config,
    token: str,
    ids: Sequence[int],
    destination: Destination,
    clock: Clock,
    show: Callable[[Line], None],
) -> None:
    """Store the files with these *ids*, one after another, and *show* what became of each."""
    async with open_client(local_origin(config), token) as client:
        for file_id in ids:
            try:
                line = await download_file(client, file_id, destination, clock)
            except GatewayError as failure:
                line = {"id": file_id, "error": error_of(failure)}
            show(line)


async def download_file(client: GatewayClient, file_id: int, destination: Destination, clock: Clock) -> Line:
    """Store one file. Return its id, the name that the portal has for it, its size and its path here.

    Raises:
        RequestFailed: the gateway refused, or the connection was lost too often.
        NotSaved: the file cannot be stored.
    """
    remote = RemoteFile(client, file_id, clock)
    async with aclosing(remote.chunks()) as chunks:
        first = await anext(chunks, b"")  # only now the name is known
        path = destination.place(remote.name)
        with destination.open(path) as file:
            file.write(first)
            await copy(chunks, remote, path.name, file)
    return {"id": file_id, "name": remote.name, "size": remote.size, "path": path_text(path)}


async def print_file(config: Config, token: str, file_id: int, out: BinaryIO, clock: Clock) -> None:
    """Write the content of a file to *out*.

    Raises:
        RequestFailed: the gateway refused, or the connection was lost too often.
    """
    async with open_client(local_origin(config), token) as client:
        remote = RemoteFile(client, file_id, clock)
        async with aclosing(remote.chunks()) as chunks:
            out.write(await anext(chunks, b""))
            await copy(chunks, remote, f"file {file_id}", out)
    out.flush()


async def copy(chunks: AsyncIterator[bytes], remote: RemoteFile, task: str, out: BinaryIO) -> None:
    """Write the other *chunks* of *remote* to *out*, and show how much is there."""
    with show_bytes(printable(task), remote.size) as show:
        async for chunk in chunks:
            out.write(chunk)
            show(remote.received)
