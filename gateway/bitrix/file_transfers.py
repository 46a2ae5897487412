"""Files to and from one portal, within its limits and repeated by the retry rules."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus

from yarl import URL

from gateway.bitrix.auth.credentials import Access
from gateway.bitrix.errors import PortalBroken, PortalError
from gateway.bitrix.file_links import check_origin, detecting_dead_links, upload_address, with_new_link
from gateway.bitrix.limits.portal_request import PortalRequest
from gateway.bitrix.protocol.file_bodies import CONTENT_PARAMETER, FileContent, FormBody, InlineBody
from gateway.bitrix.protocol.v2 import Answer, Command, decode_answer
from gateway.bitrix.sender import RequestSender, with_token
from gateway.bitrix.transport.download import IDENTITY, Download
from gateway.bitrix.transport.session import REQUEST_DEADLINE_S, HttpAnswer, PortalSession
from gateway.bitrix.transport.streamed_body import StreamedBody

INLINE_BYTES = 4 * 1024 * 1024  # larger files are sent in two steps
MIN_BYTES_PER_S = 64 * 1024  # of an upload: slower ones are ended
MAX_ERROR_BYTES = 64 * 1024  # of the answer to a download that failed
UPLOAD = Command("upload", write=True)
DOWNLOAD = Command("download")
FILE_STATUSES = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
# Portals may refuse technical agents. Source: methods.md 5.7, protocol.md 17
BROWSER = {
    "User-Agent": "Mozilla/5.0 (compatible; bitrix-gateway)",
    "Accept": "*/*",
    "Accept-Language": "en",
    "Accept-Encoding": IDENTITY,
}


class FileTransfers:
    """Uploads and downloads with one client; *request_of* makes the request of a command.

    Both raise:
        PortalError: the transfer failed permanently; OutcomeUnknown if an upload may have been stored.
        StorageFailed: a file to upload cannot be read, so it was not stored.
        TooBusy: the limits would delay it for too long.
    """

    def __init__(
        self, sender: RequestSender, session: PortalSession, request_of: Callable[[Command], PortalRequest]
    ) -> None:
        self._sender = sender
        self._session = session
        self._request_of = request_of

    async def upload(self, command: Command, file: FileContent) -> object:
        """Upload *file* by *command*, whose parameters lack the content. Return the result, the object of the file.

        Empty files and those of more than INLINE_BYTES are sent in two steps: the command is answered with an address,
        to which the file is posted. That must be at the origin of the portal.
        """
        if 0 < file.size <= INLINE_BYTES:
            params = {**command.params, CONTENT_PARAMETER: file}
            answer = await self.call(Command(command.method, params, write=command.write))
        else:
            in_two_steps = partial(self._upload_in_two_steps, command, file)
            answer = await with_new_link(in_two_steps, in_two_steps)
        return answer.result

    async def call(self, command: Command) -> Answer:
        """Return the answer to *command*. Each FileContent in its parameters is sent as its name and its content."""
        request = self._request_of(command)
        return await self._sender.run(request, partial(self._send_inline, request, command))

    async def _upload_in_two_steps(self, command: Command, file: FileContent) -> Answer:
        asking = Command(command.method, command.params)  # it changes nothing yet
        asked = self._request_of(asking)
        answer, access = await self._sender.run(asked, partial(self._ask, asked, asking))
        request = self._request_of(UPLOAD)
        request.attempts.committed = asked.attempts.committed
        url, field = upload_address(answer, access)
        return await self._sender.run(request, partial(self._send_form, request, url, FormBody(field, file)))

    async def _ask(self, request: PortalRequest, command: Command, access: Access) -> tuple[Answer, Access]:
        return await self._sender.post(request, command.params, access), access

    async def _send_inline(self, request: PortalRequest, command: Command, access: Access) -> Answer:
        params, _ = with_token(access, command.params)
        assert isinstance(params, Mapping), "a command has its parameters by name"
        return await self._post(request, access.endpoint + request.method, InlineBody(params), access)

    async def _send_form(self, request: PortalRequest, url: str, form: FormBody, access: Access) -> Answer:
        with detecting_dead_links(access):
            return await self._post(request, url, form, access)

    async def _post(self, request: PortalRequest, url: str, body: InlineBody | FormBody, access: Access) -> Answer:
        secrets = (*access.secrets, *URL(url).query.values())
        source = _Source(body.chunks)
        streamed = StreamedBody(body.content_type, body.length, source.chunks)
        deadline_s = REQUEST_DEADLINE_S + body.length / MIN_BYTES_PER_S

        async def post() -> HttpAnswer:
            try:
                return await self._session.post(url, streamed, secrets, deadline_s=deadline_s)
            except PortalError:
                if source.failure is not None:
                    raise source.failure from None
                raise

        _, answer = await self._sender.send(request, post, decode_answer, secrets)
        return answer

    @asynccontextmanager
    async def download(
        self, url: str, headers: Mapping[str, str], find_again: Callable[[], Awaitable[str]]
    ) -> AsyncIterator[Download]:
        """Open the file at *url*, an address of the portal, for the block. *find_again* reads a new one if it is dead.

        *headers* are added to the request, such as Range. The result is the file, or a part of it (206), or says that
        there is no such part (416).

        Raises:
            TooManyDownloads: as many files as possible are open.
            PortalBroken: the response is not a file; ForeignAddress if the address is not at the origin of the portal.
        """

        async def open_again() -> Download:
            return await self._download(await find_again(), headers)

        with self._session.downloads.place():
            download = await with_new_link(partial(self._download, url, headers), open_again)
            try:
                yield download
            finally:
                await download.close()

    async def _download(self, url: str, headers: Mapping[str, str]) -> Download:
        request = self._request_of(DOWNLOAD)
        return await self._sender.run(request, partial(self._open, request, url, headers))

    async def _open(self, request: PortalRequest, url: str, headers: Mapping[str, str], access: Access) -> Download:
        url = check_origin(url, access)
        secrets = (*access.secrets, *URL(url).query.values())

        async def open_checked() -> Download:
            download = await self._session.downloads.open(url, {**BROWSER, **headers})
            try:
                await check_is_file(download, secrets)
            except BaseException:
                await download.close()
                raise
            return download

        with detecting_dead_links(access):
            return await self._sender.open(request, open_checked)


class _Source:
    """Passes on what *read* yields, and keeps the failure of it: the session would report one of the connection."""

    def __init__(self, read: Callable[[], AsyncIterator[bytes]]) -> None:
        self._read = read
        self.failure: Exception | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._read():
                yield chunk
        except Exception as error:
            self.failure = error
            raise


async def check_is_file(download: Download, secrets: Collection[str]) -> None:
    """Check that a response has a file or a part of it, or says that there is no such part.

    An error may come with any status, 200 included. So JSON or HTML counts as a file only if the response names it.
    Source: protocol.md 3, and 17 for the errors of links

    Raises:
        PortalError: it has an error.
        PortalBroken: it has neither, or its content is encoded although that was not asked for.
    """
    status = download.status
    is_error = status >= HTTPStatus.BAD_REQUEST and status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    if is_error or (status == HTTPStatus.OK and download.is_page):
        decode_answer(status, await download.read(MAX_ERROR_BYTES), secrets)
        raise PortalBroken("a result in the place of a file", status)
    if status not in FILE_STATUSES:
        raise PortalBroken("no file", status)
    if download.is_encoded:
        raise PortalBroken("an encoded file, which was not asked for", status)
