"""The command `upload`: sends files to a folder of Disk through the running gateway."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from gateway.cli.file_lines import Line, error_of, path_text
from gateway.cli.gateway_client import GatewayClient, RequestFailed, TryLater, local_origin, open_client
from gateway.cli.local_files import FileFailed, LocalFile
from gateway.cli.progress import show_bytes
from gateway.cli.retry import pause_after
from gateway.cli.upload_form import REQUEST_BYTES, UploadForm, split_files
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.redaction import printable
from gateway.settings.config import Config

FILES = "/bitrix/files"


class NotSent(GatewayError):
    """was not sent, because the request before failed"""

    code = "not_sent"


async def upload_files(
    config: Config,
    token: str,
    files: Sequence[LocalFile],
    query: Mapping[str, str],
    clock: Clock,
    show: Callable[[Line], None],
) -> None:
    """Send *files* in as few requests as the limits allow, and *show* what became of each: the gateway's line for it.

    A file that cannot be read as it was is left out. If a request fails, the files after it are not sent.
    """
    groups = deque(split_files(files, min(REQUEST_BYTES, config.spool_bytes)))
    async with open_client(local_origin(config), token) as client:
        while groups:
            group = groups.popleft()
            try:
                for line in await send_group(client, group, query, clock):
                    show(line)
            except FileFailed as failure:
                show(failed_line(failure.file, failure))
                if others := [file for file in group if file is not failure.file]:
                    groups.appendleft(others)
            except RequestFailed as failure:
                for file in group:
                    show(failed_line(file, failure))
                for file in chain.from_iterable(groups):
                    show(failed_line(file, NotSent()))
                return


async def send_group(
    client: GatewayClient, files: Sequence[LocalFile], query: Mapping[str, str], clock: Clock
) -> list[Line]:
    """Send *files* in one request, and again if it had no effect. Return the gateway's lines for them.

    Raises:
        FileFailed: a file cannot be read as it was; none was taken.
        RequestFailed: the request failed; its code is outcome_unknown if files may have been taken.
    """
    task = printable(files[0].name) if len(files) == 1 else f"{len(files)} files"
    attempt = 1
    with show_bytes(task, sum(file.size for file in files)) as show:
        while True:
            try:
                answer = await client.send(FILES, query, UploadForm(files, show))
                return [
                    {"path": path_text(file.path), **line} for file, line in zip(files, answer["files"], strict=True)
                ]
            except TryLater as failure:
                await pause_after(failure, attempt, clock)
                attempt += 1


def failed_line(file: LocalFile, failure: GatewayError) -> Line:
    return {"path": path_text(file.path), "name": file.name, "error": error_of(failure)}
