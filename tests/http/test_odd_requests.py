"""Requests that HTTP allows and few clients send: answered by us, and never by a page of aiohttp's own."""

import gzip
import zlib

import orjson
import pytest

from tests.gateway import Gateway
from tests.http.raw import send_raw

ACCOUNT = "/bitrix/account"
BODY = orjson.dumps({"client_bitrix_url": "https://example.bitrix24.ru"})
JSON = "Content-Type: application/json"


def bearer(gateway: Gateway) -> str:
    return f"Authorization: Bearer {gateway.token()}"


@pytest.mark.parametrize("expectation", ["cookies", "100-continue, cookies", ""])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/bitrix/users", 200), ("GET", "/nowhere", 404), ("PUT", "/bitrix/users", 405), ("GET", "/healthz", 200)],
)
async def test_an_expectation_that_nobody_knows_is_let_be(
    gateway: Gateway, expectation: str, method: str, path: str, status: int
) -> None:
    answer = await send_raw(gateway, method, path, bearer(gateway), f"Expect: {expectation}")
    assert answer.status == status


async def test_a_body_that_is_held_back_is_asked_for(gateway: Gateway) -> None:
    answer = await gateway.post(ACCOUNT, json={"client_bitrix_url": "https://example.bitrix24.ru"}, expect100=True)
    assert answer.status == 200


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_compressed_body_is_read(gateway: Gateway, encoding: str, pack: object) -> None:
    assert callable(pack)
    headers = (bearer(gateway), JSON, f"Content-Encoding: {encoding}")
    assert (await send_raw(gateway, "POST", ACCOUNT, *headers, body=pack(BODY))).status == 200
    bomb = pack(BODY[:-1] + b" " * 2**21 + b"}")
    assert (await send_raw(gateway, "POST", ACCOUNT, *headers, body=bomb)).status == 413


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", ACCOUNT), ("POST", "/bitrix/rules/5"), ("PATCH", "/bitrix/rules/5")]
)
async def test_a_body_that_is_not_compressed_as_it_says_is_refused(
    gateway: Gateway, method: str, path: str, encoding: str
) -> None:
    headers = (bearer(gateway), JSON, f"Content-Encoding: {encoding}")
    answer = await send_raw(gateway, method, path, *headers, body=b"not compressed at all")
    assert (answer.status, answer.json) == (400, "body: cannot be read in its Content-Encoding")
