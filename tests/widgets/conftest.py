"""A user and an administrator of account "acme"."""

import pytest

from tests.gateway import Gateway
from tests.support.widgets import Person


@pytest.fixture
def user(gateway: Gateway) -> Person:
    return Person(gateway)


@pytest.fixture
def admin(gateway: Gateway) -> Person:
    return Person(gateway, user=1, admin=True)
