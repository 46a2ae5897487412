"""Authentication of requests, and isolation of accounts."""

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from jose import jws

from handlers.http.errors import PROBLEM_JSON
from handlers.http.middleware import TOKEN_PREFIXES
from handlers.routes import PROMISED
from tests.gateway import CONTRACT, JWT_SECRET, NO_TOKEN, RESOURCES, Gateway, Sandbox
from tests.support.jwks import rsa_signer, write_jwk_set
from tests.support.portal_rows import MIRRORED, fill_all
from tests.support.raw import send_raw
from tests.support.records import resource_of

REFUSED = "account id is required"
FILLED = {
    "{quizID}": "5",
    "{resource}": "users",
    "{method}": "user.current",
    "{entityTypeId}": "128",
    "{name}": "TITLE",
    "{id}": "1",
    "{otherId}": "2",
    "{fileId}": "3",
    "{type}": "home",
    "{code}": "asterisk",
}


def filled(template: str) -> str:
    """The address of *template* with values that it accepts."""
    of_records = template.replace("/bitrix/{resource}", f"/bitrix/{resource_of(template)}")
    return re.sub(r"\{\w+\}", lambda part: FILLED[part[0]], of_records)


PROTECTED = sorted(
    (method, filled(template)) for method, template in CONTRACT.operations if template.startswith(TOKEN_PREFIXES)
)


def token_of(claims: object, *, secret: str = JWT_SECRET, algorithm: str = "HS256") -> str:
    return jws.sign(json.dumps(claims).encode(), secret, algorithm=algorithm)


def test_the_list_of_protected_operations_is_complete() -> None:
    syncs, records, related, types, streams, calls, calls3, methods, widgets, files = 11, 20, 19, 3, 2, 2, 3, 1, 8, 17
    assert (
        len(PROTECTED) == 15 + syncs + records + related + types + streams + calls + calls3 + methods + widgets + files
    )


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_every_protected_address_requires_a_token(gateway: Gateway, method: str, path: str) -> None:
    answer = await gateway.request(method, path, token=NO_TOKEN)
    if path.replace("/5", "/{quizID}") not in PROMISED:
        assert (answer.status, answer.json["detail"]) == (401, REFUSED)
        assert answer.headers["Content-Type"] == PROBLEM_JSON
    else:
        assert (answer.status, answer.json, answer.headers["Content-Type"]) == (401, REFUSED, "application/json")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/bitrix/users?page=0", {}),
        ("GET", "/bitrix/users?page=1&page=2", {}),
        ("GET", f"/bitrix/users?x={'x' * 100_000}", {}),
        ("GET", "/bitrix/rules/abc", {}),
        ("GET", "/bitrix/sync/nothing", {}),
        ("PATCH", "/bitrix/users?mode=incremental", {}),
        ("POST", "/bitrix/account", {"data": b"no json"}),
        ("POST", "/bitrix/account", {"data": BytesIO(b" " * 2_000_000)}),
        ("POST", "/bitrix/rules/5", {"json": []}),
        ("PATCH", "/bitrix/rules/99999999999999", {"json": {}}),
    ],
)
async def test_a_missing_token_is_reported_before_any_other_error(
    gateway: Gateway, method: str, path: str, options: dict[str, Any]
) -> None:
    answer = await gateway.request(method, path, token=NO_TOKEN, **options)
    sentence = answer.json["detail"] if path.startswith("/bitrix/sync") else answer.json
    assert (answer.status, sentence) == (401, REFUSED)


NOW = 1_800_000_000  # the start of the test clock
BAD_TOKENS = {
    "another key": token_of({"sub": "acme"}, secret="another"),
    "another algorithm": token_of({"sub": "acme"}, algorithm="HS512"),
    "expired": token_of({"sub": "acme", "exp": NOW - 5}),
    "not yet": token_of({"sub": "acme", "nbf": NOW + 6}),
    "exp null": token_of({"sub": "acme", "exp": None}),
    "exp a text": token_of({"sub": "acme", "exp": "never"}),
    "exp a list": token_of({"sub": "acme", "exp": [NOW + 9]}),
    "nbf an object": token_of({"sub": "acme", "nbf": {}}),
    "no claims": token_of({}),
    "no account": token_of({"name": "acme"}),
    "account empty": token_of({"sub": ""}),
    "account a list": token_of({"sub": ["acme"]}),
    "account true": token_of({"sub": True}),
    "account a fraction": token_of({"sub": 1.5}),
    "account of two lines": token_of({"sub": "a\nb"}),
    "account too long": token_of({"sub": "a" * 256}),
    "the first claim empty": token_of({"accountID": "", "sub": "acme"}),
}
NO_TOKENS = {
    "no JWT": ("not-a-jwt", "must have 3 parts separated by dots, not 1"),
    "two parts": ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhY21lIn0", "must have 3 parts separated by dots, not 2"),
    "three empty words": ("a.b.c", "its parts cannot be decoded"),
    "no signature": ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhY21lIn0.", "its parts must be base64url and not empty"),
    "50,000 letters": ("x" * 50_000, "longer than 8000 characters"),
    "claims a list": (token_of(["acme"]), "the claims of the token are not a JSON object"),
    "claims a text": (token_of("acme"), "the claims of the token are not a JSON object"),
    "claims null": (token_of(None), "the claims of the token are not a JSON object"),
    "exp infinite": (token_of({"sub": "acme", "exp": float("inf")}), "the claims of the token are not JSON"),
    "null": ("null", "the word null"),
    "nothing": ("", "no token after the word Bearer"),
}


@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
async def test_an_invalid_token_is_refused_with_the_reason_in_a_header(gateway: Gateway, token: str) -> None:
    answer = await gateway.get("/bitrix", token=token)
    assert (answer.status, answer.json) == (401, REFUSED)
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith('Bearer error="invalid_token", error_description="')
    assert token not in challenge


@pytest.mark.parametrize(("token", "fault"), NO_TOKENS.values(), ids=NO_TOKENS)
async def test_a_malformed_token_is_refused_with_its_fault_in_body_and_header(
    gateway: Gateway, token: str, fault: str
) -> None:
    answer = await gateway.get("/bitrix", token=NO_TOKEN, headers={"Authorization": f"Bearer {token}"})
    assert (answer.status, answer.headers["Content-Type"]) == (401, "application/json")
    assert fault in answer.json
    assert answer.headers["WWW-Authenticate"] == f'Bearer error="invalid_token", error_description="{answer.json}"'


@pytest.mark.parametrize("path", ["/bitrix", "/bitrix/call/profile"])
async def test_problem_details_contain_the_reason(gateway: Gateway, path: str) -> None:
    method = "GET" if path in PROMISED else "POST"
    for token, fault in ((token_of({"sub": "acme", "exp": NOW - 5}), "the token has expired"), NO_TOKENS["no JWT"]):
        answer = await gateway.request(method, path, token=token, headers={"Accept": PROBLEM_JSON})
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
        assert fault in answer.json["detail"]


FORM = "the Authorization header must be the word Bearer, a space and a token"


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("", "the Authorization header is empty"),
        ("Basic YWNtZTpzZWNyZXQ=", FORM),
        ("Bearer", "the Authorization header has no token after the word Bearer"),
        ("Bearer ", "the Authorization header has no token after the word Bearer"),
        ("bearer\t{token}", FORM),
        ("{token}", FORM),
        ("Token {token}", FORM),
        ("Bearer  {token} x", "the Authorization header must have one token after the word Bearer, without spaces"),
    ],
)
async def test_other_authorization_headers_are_refused(gateway: Gateway, header: str, sentence: str) -> None:
    sent = {"Authorization": header.format(token=gateway.token())}
    answer = await gateway.get("/bitrix", token=NO_TOKEN, headers=sent)
    assert (answer.status, answer.json) == (401, sentence)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"user_id": []}, "the claim user_id of the token is not a user id"),
        ({"client_uuid": "5"}, "the claim client_uuid of the token is not a UUID"),
    ],
)
async def test_a_user_or_integration_of_the_wrong_form_is_refused_by_name(
    gateway: Gateway, claims: dict[str, object], reason: str
) -> None:
    token = token_of({"sub": "acme"} | claims)
    answer = await gateway.get("/bitrix", token=token)
    assert (answer.status, answer.json) == (401, REFUSED)
    assert reason in answer.headers["WWW-Authenticate"]
    problem = await gateway.get("/bitrix/sync", token=token)
    assert (problem.status, problem.json["detail"]) == (401, reason)


async def test_users_administrators_and_integrations_have_the_data_of_their_account(connected: Gateway) -> None:
    claims = {"user_id": 5, "admin": True, "client_uuid": "0B8AC3F1-6F5E-4D0C-9F0D-2A7C5E1B9D43"}
    account = await connected.get("/bitrix/account", token=token_of({"sub": "acme"} | claims))
    assert (account.status, account.json["accountID"]) == (200, "acme")
    assert (await connected.get("/bitrix/account", token=token_of({"sub": "b"} | claims))).status == 404


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_bearer_is_accepted_in_any_case(gateway: Gateway, scheme: str) -> None:
    sent = {"Authorization": f"{scheme} {gateway.token()}"}
    answer = await gateway.get("/bitrix", token=NO_TOKEN, headers=sent)
    assert (answer.status, answer.body) == (200, b'"OK"')


async def test_two_authorization_headers_are_refused(gateway: Gateway) -> None:
    line = f"Authorization: Bearer {gateway.token()}"
    assert (await send_raw(gateway, "GET", "/bitrix", line)).status == 200
    answer = await send_raw(gateway, "GET", "/bitrix", line, line)
    assert (answer.status, answer.json) == (401, "there is more than one Authorization header")


@pytest.mark.parametrize("octets", ["\udcff\udcfe", "Bearer \udc80.\udc81.\udc82", "Bearer é.é.é", 'Bearer "\\'])
async def test_invalid_octets_in_the_header_are_refused(gateway: Gateway, octets: str) -> None:
    answer = await send_raw(gateway, "GET", "/bitrix/users", f"Authorization: {octets}")
    assert answer.status == 401
    assert answer.json in answer.headers.get("WWW-Authenticate", "") or answer.json == FORM


@pytest.mark.parametrize(
    "target",
    ["//bitrix/users", "/BITRIX/users", "/bitrix//users", "/x/../bitrix/users",
     "/bitrix/./users", "/bitrix/users/", "/bitrix%2Fusers", "/bitrix;x/users", "/healthz/../bitrix/users"],
)  # fmt: skip
async def test_other_spellings_of_an_address_are_not_found(connected: Gateway, target: str) -> None:
    assert (await send_raw(connected, "GET", target)).status == 404


@pytest.mark.parametrize("target", ["/%62itrix/users", "/bitrix/%75sers", "/bitrix/users?", "/bitrix/users#x"])
async def test_an_encoded_address_requires_a_token(connected: Gateway, target: str) -> None:
    assert (await send_raw(connected, "GET", target, seen_as="/bitrix/users")).status == 401


async def test_a_token_expires_even_if_it_was_used_before(gateway: Gateway) -> None:
    token = gateway.token(ttl_s=60)
    assert (await gateway.get("/bitrix", token=token)).status == 200
    await gateway.clock.advance(64)
    assert (await gateway.get("/bitrix", token=token)).status == 200
    await gateway.clock.advance(1)
    assert (await gateway.get("/bitrix", token=token)).status == 401


async def test_a_new_secret_invalidates_all_tokens(connected: Gateway) -> None:
    token = connected.token()
    assert (await connected.get("/bitrix/users", token=token)).status == 200
    await connected.restart(GATEWAY_JWT_SECRET="another-secret-0123456789-abcdefghij")
    assert (await connected.get("/bitrix/users", token=token)).status == 401


async def test_tokens_of_a_previous_secret_are_accepted_while_it_is_configured(connected: Gateway) -> None:
    old, new = connected.token(), "another-secret-0123456789-abcdefghij"
    await connected.restart(GATEWAY_JWT_SECRET=new, GATEWAY_JWT_PREVIOUS_SECRETS=f"oldest-secret,{JWT_SECRET}")
    assert (await connected.get("/bitrix/users", token=old)).status == 200
    assert (await connected.get("/bitrix/users", token=token_of({"sub": "acme"}, secret=new))).status == 200
    await connected.restart(GATEWAY_JWT_SECRET=new)
    assert (await connected.get("/bitrix/users", token=old)).status == 401


async def test_keys_rotate_while_the_gateway_runs(gateway: Gateway, tmp_path: Path) -> None:
    old, new, keys = rsa_signer("may"), rsa_signer("june"), tmp_path / "keys.json"
    write_jwk_set(keys, old)
    gateway.environ.pop("GATEWAY_JWT_SECRET")
    await gateway.restart(GATEWAY_JWKS_FILE=str(keys))
    assert (await gateway.get("/bitrix", token=old.token("RS256"))).status == 200
    assert (await gateway.get("/bitrix", token=new.token("RS256"))).status == 401
    assert (await gateway.get("/bitrix", token=token_of({"sub": "acme"}))).status == 401
    write_jwk_set(keys, old, new)
    await gateway.clock.advance(1)
    for signer in (old, new):
        assert (await gateway.get("/bitrix", token=signer.token("RS256"))).status == 200
    write_jwk_set(keys, new)
    await gateway.clock.advance(1)
    answer = await gateway.get("/bitrix", token=old.token("RS256"))
    assert answer.status == 401
    assert "an unknown key" in answer.headers["WWW-Authenticate"]
    assert (await gateway.get("/bitrix", token=new.token("RS256"))).status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/connected", "/webhook/create"])
async def test_public_addresses_ignore_tokens(gateway: Gateway, path: str) -> None:
    without = await gateway.get(path, token=NO_TOKEN)
    assert without.status == (400 if path == "/webhook/create" else 200)
    assert (await gateway.get(path, token="nonsense")).status == without.status


async def test_accounts_never_see_each_other(gateway: Gateway, sandbox: Sandbox) -> None:
    fill_all(sandbox.portal.data, 3)
    await gateway.connect(sandbox.webhook, account="a")
    quiz = {
        "PerformerID": "1", "PipelineID": 0, "TypeID": "SALE", "StageID": "NEW", "SourceID": "WEB", "FieldsRule": {},
        "TagsToAdd": {}, "LeadFlag": False, "StatusID": "NEW",
    }  # fmt: skip
    assert (await gateway.post("/bitrix/rules/5", account="a", json=quiz)).status == 200

    for stranger in ("b", "A", "a ", "\u0430"):
        for path in ("/bitrix/account", "/bitrix/rules/5", "/bitrix/sync", "/bitrix/sync/users"):
            assert (await gateway.get(path, account=stranger)).status == 404, (stranger, path)
        for resource in MIRRORED:
            assert await gateway.rows(resource.name, account=stranger) == []

    await gateway.connect(sandbox.webhook, account="b")
    assert (await gateway.get("/bitrix/rules/5", account="b")).status == 404
    fill_all(sandbox.portal.data, 2)
    await gateway.sync(*RESOURCES, account="b")
    for resource in MIRRORED:
        of_a, of_b = [await gateway.rows(resource.name, account=account) for account in "ab"]
        assert (resource.ids(of_a), resource.ids(of_b)) == ([1, 2, 3], [1, 2])
        assert {row[resource.own_id] for row in of_a}.isdisjoint(row[resource.own_id] for row in of_b)
    await gateway.delete("/bitrix/account", account="b")
    assert (await gateway.get("/bitrix/account", account="a")).status == 200
    assert (await gateway.get("/bitrix/rules/5", account="a")).status == 200
