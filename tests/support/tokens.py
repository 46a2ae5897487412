"""Bearer tokens with any claims, and a verifier of them."""

import json

from hypothesis import strategies as st
from jose import jws

from gateway.auth.tokens import TokenVerifier
from gateway.redaction import Secret
from gateway.settings.config import load_config
from gateway.settings.secret_file import Secrets
from tests.clock import ManualClock

SECRET = Secret("correct horse battery staple")
SECRETS = Secrets(SECRET, bytes(32))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def verifier(clock: ManualClock | None = None, /, **settings: object) -> TokenVerifier:
    return TokenVerifier(load_config({}, settings), SECRETS, clock or ManualClock())


def bearer(claims: object, *, secret: str = SECRET, algorithm: str = "HS256") -> str:
    return f"Bearer {jws.sign(json.dumps(claims).encode(), secret, algorithm=algorithm)}"
