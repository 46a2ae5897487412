"""The key that signs the contexts of widgets: made once, kept encrypted, published without its private part."""

import asyncio
from hashlib import sha256
from typing import Any

from gateway.crypto.jwk_set import decode_jwk
from gateway.crypto.vault import Vault
from gateway.widgets.context_keys import CONTEXT_KEY, ContextKeys
from handlers.app_keys import DATABASE, SECRETS
from storage.metadata import MetadataStore
from tests.canaries import WATCH
from tests.gateway import NO_TOKEN, Gateway, Sandbox, authorize
from tests.support.placements import KEYS, TAB, context_in, decoded, handler_of, post_form, posted, verified
from tests.support.stored import select, unwritable
from tests.support.widgets import Person


async def published(gateway: Gateway) -> dict[str, Any]:
    """The only key that the gateway publishes."""
    answer = await gateway.get(KEYS, token=NO_TOKEN)
    assert answer.status == 200, answer.body
    (key,) = answer.json["keys"]
    return dict(key)


def stored(gateway: Gateway) -> bytes:
    """The private key of a running gateway, decrypted; the test fails if it leaks."""
    ((sealed,),) = select(gateway, f"SELECT value FROM facts WHERE name = '{CONTEXT_KEY}'")
    pem = Vault(gateway.app[SECRETS].encryption_key).open(sealed, CONTEXT_KEY)
    for line in pem.splitlines()[1:-1]:
        WATCH.secret("the private key", line)
    return pem


async def test_the_set_has_the_public_key_alone(gateway: Gateway) -> None:
    answer = await gateway.get(KEYS, token=NO_TOKEN)
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    key = await published(gateway)
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("EC", "P-256", "sig", "ES256")
    thumbprint = sha256(b'{"crv":"P-256","kty":"EC","x":"%b","y":"%b"}' % (key["x"].encode(), key["y"].encode()))
    assert decoded(key["kid"]) == thumbprint.digest()
    read = decode_jwk(key)
    assert read is not None
    assert (read.algorithms, read.kid) == (("ES256",), key["kid"])


async def test_the_key_is_stored_encrypted_and_stays_after_a_restart(gateway: Gateway) -> None:
    key = await published(gateway)
    pem = stored(gateway)
    await gateway.restart()
    assert await published(gateway) == key
    assert stored(gateway) == pem


async def test_a_context_of_before_a_restart_is_verified_after_it(
    gateway: Gateway, sandbox: Sandbox, admin: Person
) -> None:
    await authorize(gateway, sandbox)
    await admin.add("tab", address="https://widget.example.com", placements=[{"placement": TAB}])
    await admin.install("tab")
    path = handler_of(gateway, "tab")
    context = context_in(await post_form(gateway, path, posted(sandbox)))
    stored(gateway)
    await gateway.restart()
    assert (await verified(gateway, context))["widget"] == "tab"


async def test_fifty_first_requests_at_once_make_one_key(gateway: Gateway) -> None:
    keys = await asyncio.gather(*(published(gateway) for _ in range(50)))
    assert len({key["kid"] for key in keys}) == 1
    assert len(select(gateway, f"SELECT 1 FROM facts WHERE name = '{CONTEXT_KEY}'")) == 1
    stored(gateway)
    await gateway.restart()
    assert await published(gateway) == keys[0]


async def test_the_first_key_that_is_stored_is_used_by_all(gateway: Gateway) -> None:
    """As if several processes had found no key at the same time."""
    metadata, vault = MetadataStore(gateway.app[DATABASE]), Vault(gateway.app[SECRETS].encryption_key)
    keys = await asyncio.gather(*(ContextKeys(metadata, vault).current() for _ in range(50)))
    assert {key.kid for key in keys} == {(await published(gateway))["kid"]}


async def test_a_key_that_cannot_be_stored_is_not_published(gateway: Gateway) -> None:
    async with unwritable(gateway):
        answer = await gateway.get(KEYS, token=NO_TOKEN)
        assert (answer.status, answer.json["code"]) == (503, "storage_unavailable")
    assert await published(gateway)


async def test_parameters_are_refused(gateway: Gateway) -> None:
    answer = await gateway.get(f"{KEYS}?kid=1", token=NO_TOKEN)
    assert (answer.status, answer.json["errors"][0]["code"]) == (400, "unknown_parameter")
