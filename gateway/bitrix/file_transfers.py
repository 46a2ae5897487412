"""Files to and from one portal, within its limits and repeated by the retry rules."""

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from http import HTTPStatus

from yarl import URL

from gateway.bitrix.auth.credentials import Access
from gateway.bitrix.errors import PortalBroken, PortalError
from gateway.bitrix.limits.portal_request import PortalRequest
from gateway.bitrix.protocol.file_bodies import CONTENT_PARAMETER, FileContent, FormBody, InlineBody
from gateway.bitrix.protocol.v2 import Answer, Command, decode_answer
from gateway.bitrix.sender import RequestSender, with_token
from gateway.bitrix.transport.download import Download
from gateway.bitrix.transport.session import REQUEST_DEADLINE_S, HttpAnswer, PortalSession
from gateway.bitrix.transport.streamed_body import StreamedBody

INLINE_BYTES = 4 * 1024 * 1024  # larger files are sent in two steps
MIN_BYTES_PER_S = 64 * 1024  # of an upload: slower ones are ended
MAX_ERROR_BYTES = 64 * 1024  # of the answer to a download that failed
UPLOAD = Command("upload", write=True)
DOWNLOAD = Command("download")
# Portals may refuse technical agents. Source: methods.md 5.7, protocol.md 17
BROWSER = {
    "User-Agent": "Mozilla/5.0 (compatible; bitrix-gateway)",
    "Accept": "*/*",
    "Accept-Language": "en",
    "Accept-Encoding": "identity",
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
            answer = await self._upload_in_two_steps(command, file)
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

    async def download(self, url: str, headers: Mapping[str, str]) -> Download:
        """Open the file at *url*, an address of the portal that has been read just now. The caller closes the result.

        *headers* are added to the request, such as Range. The result has a status below 400, or is 416.

        Raises:
            PortalBroken: the address is not at the origin of the portal.
        """
        request = self._request_of(DOWNLOAD)
        return await self._sender.run(request, partial(self._open, request, url, headers))

    async def _open(self, request: PortalRequest, url: str, headers: Mapping[str, str], access: Access) -> Download:
        check_origin(url, access)
        secrets = (*access.secrets, *URL(url).query.values())

        async def open_checked() -> Download:
            download = await self._session.open_download(url, {**BROWSER, **headers})
            if (
                download.status >= HTTPStatus.BAD_REQUEST
                and download.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            ):
                try:
                    decode_answer(download.status, await download.read(MAX_ERROR_BYTES), secrets)
                finally:
                    await download.close()
            return download

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


def check_origin(url: str, access: Access) -> None:
    """Check that a portal's address of a file is at its own origin, to which alone the file and the token may go.

    Raises:
        PortalBroken: it is not.
    """
    try:
        same = URL(url).origin() == URL(access.endpoint).origin()
    except ValueError:
        same = False
    if not same:
        raise PortalBroken("an address of a file that is not at the portal")


def upload_address(answer: Answer, access: Access) -> tuple[str, str]:
    """Return the address of an upload and the field of its form, from the answer to a call without content.

    Raises:
        PortalBroken: the answer has none, or at another origin than the portal.
    """
    found = answer.result if isinstance(answer.result, Mapping) else {}
    url, field = found.get("uploadUrl"), found.get("field", found.get("fieldName"))
    if not isinstance(url, str) or not isinstance(field, str):
        raise PortalBroken("no address for an upload")
    check_origin(url, access)
    return url, field
