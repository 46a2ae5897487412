"""Read and install the gateway's widgets with published clients of amoCRM, which know nothing of the gateway.

python -m tests.clients.amocrm
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from gateway.cli.process import free_port

ROOT = Path(__file__).parents[2]
START_S = 60
CODES = [f"asterisk_{number}" for number in range(7)]
LIMIT = 3
TEMPLATE = [
    {"key": "login", "name": "Логин", "type": "text", "is_required": True},
    {"key": "phones", "name": "Телефоны", "type": "users", "is_required": False},
]
SETTINGS = {"login": "anna", "phones": {"5": "1039"}}


@asynccontextmanager
async def serve(directory: Path) -> AsyncIterator[tuple[str, str]]:
    """Run a gateway until the block ends; yield its origin and the token of an administrator."""
    port = free_port("127.0.0.1")
    environ = os.environ | {
        "GATEWAY_DATABASE": str(directory / "gateway.db"),
        "GATEWAY_PORT": str(port),
        "GATEWAY_LOG_LEVEL": "warning",
    }
    command = (sys.executable, "-m", "gateway")
    process = await asyncio.create_subprocess_exec(*command, "serve", cwd=ROOT, env=environ)
    try:
        async with asyncio.timeout(START_S):
            while not await is_listening(port):
                assert process.returncode is None, "the gateway has ended"
                await asyncio.sleep(0.05)
        options = ("--account=acme", "--user=5", "--admin")
        issued = await asyncio.create_subprocess_exec(
            *command, "token", *options, cwd=ROOT, env=environ, stdout=asyncio.subprocess.PIPE
        )
        token = (await issued.communicate())[0].decode().strip()
        yield f"http://127.0.0.1:{port}", token
    finally:
        process.terminate()
        await process.wait()


async def is_listening(port: int) -> bool:
    """Whether something accepts connections at *port*."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


def use_wrapper(origin: str, token: str) -> None:
    """Use the client that has methods for widgets: amocrm_api_wrapper.

    Raises:
        AssertionError: it is given something else than it documents.
    """
    package = import_module("amocrm_api")
    client = package.AmoOAuthClient(token, "", origin, "", "", "")
    codes: list[str] = []
    page: dict[str, Any] = {"_links": {"next": {}}}
    while "next" in page["_links"]:
        page = client.get_widgets(page=page.get("_page", 0) + 1, limit=LIMIT)
        codes += [widget["code"] for widget in page["_embedded"]["widgets"]]
    assert codes == CODES, codes
    for code in CODES:
        widget = client.get_widget(code)
        assert (widget["code"], widget["settings_template"], widget["is_active_in_account"]) == (code, TEMPLATE, False)
    installed = client.install_widget(CODES[0], **SETTINGS)
    assert (installed["is_active_in_account"], installed["settings"]) == (True, SETTINGS), installed
    assert client.get_widget(CODES[0])["is_active_in_account"]
    assert client.uninstall_widget(CODES[0]) == {}
    assert not client.get_widget(CODES[0])["is_active_in_account"]
    try:
        client.get_widget("unknown")
    except package.errors.AmoException as error:
        status = error.code
    assert status == 404


async def use_paginator(origin: str, token: str) -> None:
    """Page through the widgets with a client that follows the links of any list, and reads errors: aioamocrm.

    Raises:
        AssertionError: it reads something else than the widgets.
    """
    package, paging = import_module("aioamocrm"), import_module("aioamocrm._pagination")
    model = import_module("pydantic").create_model("Widget", id=(int, ...), code=(str, ...), version=(str, ...))
    async with package.AmoCRMClient(base_url=origin, auth=package.LongLivedToken(token), rate_limit=None) as client:
        pages = paging.iterate_pages(client, "widgets", "widgets", model, query=[], limit=LIMIT)
        codes = [widget.code async for widget in pages]
        assert codes == CODES, codes
        try:
            await client.request("POST", f"widgets/{CODES[0]}", json={"phones": {"x": "1"}})
        except package.AmoCRMError as error:
            issues = [(issue.path, issue.code) for issue in error.errors]
        assert issues == [("login", "FieldMissing"), ("phones.x", "InvalidValue")], issues


async def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        async with serve(Path(scratch)) as (origin, token):
            async with import_module("httpx").AsyncClient(headers={"Authorization": f"Bearer {token}"}) as caller:
                for code in CODES:
                    manifest = {"code": code, "version": "1.0", "name": "Телефония", "settings_template": TEMPLATE}
                    added = await caller.post(f"{origin}/api/v4/widgets", json=manifest)
                    assert added.status_code == 201, added.text
            await asyncio.to_thread(use_wrapper, origin, token)
            await use_paginator(origin, token)
    print("Published clients of amoCRM page through the widgets, and read, install and remove them.")


if __name__ == "__main__":
    asyncio.run(main())
