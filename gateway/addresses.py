"""The address that a caller connects: whose portal it is, and whether it is an inbound webhook."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from gateway.bitrix.egress import EgressPolicy, is_public
from gateway.bitrix.errors import AddressRefused
from gateway.errors import InvalidInput
from gateway.origins import origin_of
from gateway.secret import Secret

FIELD = "/client_bitrix_url"
# Source: b24restdocs settings/how-to-call-rest-api/general-principles.md; a method may follow, as portals show it.
WEBHOOK_PATH = re.compile(r"/+rest/(\d+)/([A-Za-z0-9]+)(?:/[A-Za-z0-9_.]*)?/?")
CLOUD_HOST = re.compile(r"([^.]+)\.bitrix24\.[a-z.]+")


@dataclass(frozen=True)
class PortalAddress:
    """*host* names the port where the address does; *webhook* is the base of its calls, secret in its path, or None."""

    origin: str
    host: str
    webhook: Secret | None


def parse_address(url: str, policy: EgressPolicy) -> PortalAddress:
    """What *url* says of a portal.

    Raises:
        InvalidInput: when it is no address that a portal can have, or one that the policy forbids.
    """
    try:
        origin = origin_of(url)
    except ValueError as error:
        raise InvalidInput.of_field(FIELD, "invalid_address", str(error)) from error
    try:
        policy.check_url(origin)
    except AddressRefused as error:
        raise InvalidInput.of_field(FIELD, error.code, error.detail) from error
    path = urlsplit(url).path
    host = urlsplit(origin).netloc
    if not policy.insecure and not may_be_public(urlsplit(origin).hostname or ""):
        raise InvalidInput.of_field(FIELD, "private_address", "has to be an address on the open internet")
    if not re.match("/+rest/", path):
        return PortalAddress(origin, host, None)
    if not (webhook := WEBHOOK_PATH.fullmatch(path)):
        raise InvalidInput.of_field(
            FIELD, "invalid_webhook", "an inbound webhook has the form https://PORTAL/rest/USER/CODE/"
        )
    return PortalAddress(origin, host, Secret(f"{origin}/rest/{webhook[1]}/{webhook[2]}/"))


def may_be_public(host: str) -> bool:
    """Whether *host* is a public IP address, or a name that could lead to one (that is seen where a socket is made)."""
    try:
        return is_public(ip_address(host))
    except ValueError:
        labels = host.split(".")  # no top-level domain begins with a digit
        return len(labels) > 1 and all(labels) and not labels[-1][0].isdigit()


def subdomain_of(host: str) -> str:
    """The first label of a cloud portal's host, the whole host of any other."""
    cloud = CLOUD_HOST.fullmatch(host)
    return cloud[1] if cloud else host
