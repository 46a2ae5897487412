"""The address that a caller connects: whose portal it is, and whether it is an inbound webhook."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from gateway.bitrix.errors import AddressRefused
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.errors import InvalidInput
from gateway.origins import origin_of
from gateway.redaction import Secret

FIELD = "/client_bitrix_url"
# Source: b24restdocs settings/how-to-call-rest-api/general-principles.md; a method may follow, as portals show it.
WEBHOOK_PATH = re.compile(r"/+rest/([0-9]+)/([A-Za-z0-9]+)(?:/[A-Za-z0-9_.]*)?/?")
# Anything that would be a webhook at the root of a portal, or in small letters.
LIKE_WEBHOOK = re.compile(r"^/+rest/|/rest/+(api/+)?[0-9]+(/|$)", re.IGNORECASE)
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
    parts, host = urlsplit(url), urlsplit(origin).netloc
    if not policy.may_call(urlsplit(origin).hostname or ""):
        raise InvalidInput.of_field(FIELD, "private_address", "must be an address on the open internet")
    if webhook := WEBHOOK_PATH.fullmatch(parts.path):
        return PortalAddress(origin, host, Secret(f"{origin}/rest/{webhook[1]}/{webhook[2]}/"))
    if any(LIKE_WEBHOOK.search(unquote(part)) for part in (parts.path, parts.query, parts.fragment)):
        raise InvalidInput.of_field(
            FIELD, "invalid_webhook", "an inbound webhook has the form https://PORTAL/rest/USER/CODE/"
        )
    return PortalAddress(origin, host, None)


def subdomain_of(host: str) -> str:
    """The first label of a cloud portal's host, the whole host of any other."""
    cloud = CLOUD_HOST.fullmatch(host)
    return cloud[1] if cloud else host
