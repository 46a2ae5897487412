"""The pages that a person is redirected to after an authorization."""

from aiohttp import web

from handlers.app_keys import ACCOUNTS
from handlers.http.query import one_value

CONNECTED_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Connected</title>
<style>
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 20vh auto 0; padding: 0 1.5rem }
body { color: #1d2733 }
h1 { font-size: 1.6rem }
@media (prefers-color-scheme: dark) { body { background: #12181f; color: #e6ebf0 } }
</style>
<h1>Your Bitrix24 is connected</h1>
<p>Users, steps, pipelines and fields are being read now. You can close this page.</p>
</html>
"""
PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Cache-Control": "no-store"}


async def finish_authorization(request: web.Request) -> web.Response:
    """GET /webhook/create"""
    query = {name: one_value(request.query, name) or "" for name in set(request.query)}
    location = await request.app[ACCOUNTS].authorize(query)
    return web.Response(status=302, headers={"Location": location, "Cache-Control": "no-store"})


async def show_connected(_request: web.Request) -> web.Response:
    """GET /connected"""
    return web.Response(text=CONNECTED_PAGE, content_type="text/html", headers=PAGE_HEADERS)
