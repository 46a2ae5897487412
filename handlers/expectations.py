"""What a client expects before it sends its body."""

from aiohttp import HttpVersion11, web


async def go_ahead(request: web.Request) -> None:
    """Ask for a body that is held back until somebody asks; any other expectation is let be.

    aiohttp would refuse those with a page of its own. Source: RFC 9110, section 10.1.1
    """
    if request.headers["Expect"].lower() == "100-continue" and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # nothing of the answer itself has been sent
