"""The command `upload`: sends files to a folder of Disk through the running gateway."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from gateway.cli.file_lines import Line, error_of, path_text
from gateway.cli.gateway_client import GatewayClient, RequestFailed, TryLater, Unanswered, local_origin, open_client
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

    A file that cannot be read as it was is left out. If a request fails, the files after it are not sent. If the task
    is cancelled, the files that may have been taken are shown before.
    """
    groups = deque(split_files(files, min(REQUEST_BYTES, config.spool_bytes)))
    async with open_client(local_origin(config), token) as client:
        while groups:
            group = groups.popleft()
            sending = GroupUpload(client, group, query, clock)
            try:
                for line in await sending.send():
                    show(line)
            except asyncio.CancelledError:
                for file in group if sending.form.is_sent else ():
                    show(failed_line(file, Unanswered("stopped before the gateway answered")))
                raise
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


class GroupUpload:
    """Sends *files* in one request. *form* is that of the latest attempt."""

    def __init__(
        self, client: GatewayClient, files: Sequence[LocalFile], query: Mapping[str, str], clock: Clock
    ) -> None:
        self._client = client
        self._files = files
        self._query = query
        self._clock = clock
        self.form = UploadForm(files, lambda _: None)

    async def send(self) -> list[Line]:
        """Send the files, and again if that had no effect. Return the gateway's lines for them.

        Raises:
            FileFailed: a file cannot be read as it was; none was taken.
            RequestFailed: the request failed; its code is outcome_unknown if files may have been taken.
        """
        files = self._files
        task = printable(files[0].name) if len(files) == 1 else f"{len(files)} files"
        attempt = 1
        with show_bytes(task, sum(file.size for file in files)) as show:
            while True:
                self.form = UploadForm(files, show)
                try:
                    answer = await self._client.send(FILES, self._query, self.form)
                    return [
                        {"path": path_text(file.path), **line}
                        for file, line in zip(files, answer["files"], strict=True)
                    ]
                except TryLater as failure:
                    await pause_after(failure, attempt, self._clock)
                    attempt += 1


def failed_line(file: LocalFile, failure: GatewayError) -> Line:
    return {"path": path_text(file.path), "name": file.name, "error": error_of(failure)}
