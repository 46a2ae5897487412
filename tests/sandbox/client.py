"""A plain HTTP client of the sandbox, independent of the gateway."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import ClientSession
from yarl import URL


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    content_type: str

    @property
    def result(self) -> Any:
        assert self.status == 200, self.body
        return self.body["result"]

    @property
    def error(self) -> Any:
        return self.body["error"]


class RestClient:
    """Calls one portal by a base address such as ``http://127.0.0.1:1/rest/1/sandbox/``."""

    def __init__(self, session: ClientSession, base: str) -> None:
        self.session = session
        self.base = base

    async def call(self, method: str, /, **params: Any) -> Answer:
        """POST as JSON."""
        return await self.send("POST", self.base + method, json=params)

    async def form(self, method: str, body: str) -> Answer:
        """POST an urlencoded body unchanged."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self.send("POST", self.base + method, data=body.encode(), headers=headers)

    async def get(self, address: str) -> Answer:
        """GET an address unchanged."""
        return await self.send("GET", self.base + address)

    async def batch(self, **commands: str) -> Any:
        """Return the result of a batch of *commands* by label."""
        return (await self.call("batch", cmd=commands)).result

    async def send(self, verb: str, address: str, **options: Any) -> Answer:
        async with self.session.request(verb, URL(address, encoded=True), allow_redirects=False, **options) as response:
            content_type = response.headers["Content-Type"]
            is_json = content_type.startswith("application/json")
            body = await response.json() if is_json else await response.text()
            return Answer(response.status, body, content_type)


def row_ids(rows: list[dict[str, Any]]) -> list[int]:
    return [int(row["ID"] if "ID" in row else row["id"]) for row in rows]


def php_query(params: dict[str, Any]) -> str:
    """*params* in bracket notation, percent-encoded like http_build_query."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in _pairs(params))


def _pairs(value: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(name, value)]
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    return [pair for key, item in entries for pair in _pairs(item, f"{name}[{key}]" if name else str(key))]
