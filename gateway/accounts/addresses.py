"""Parses the address that a caller connects: the origin of a portal, or an inbound webhook."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from gateway.bitrix.errors import AddressRefused
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.errors import InvalidInput
from gateway.origins import origin_of
from gateway.redaction import Secret

FIELD = "/client_bitrix_url"
# A method may follow, as in the examples that portals show.
# Source: b24restdocs settings/how-to-call-rest-api/general-principles.md
WEBHOOK_PATH = re.compile(r"/+rest/([0-9]+)/([A-Za-z0-9]+)(?:/[A-Za-z0-9_.]*)?/?")
# Malformed webhooks, also in upper case or below another path.
LIKE_WEBHOOK = re.compile(r"^/+rest/|/rest/+(api/+)?[0-9]+(/|$)", re.IGNORECASE)
CLOUD_HOST = re.compile(r"([^.]+)\.bitrix24\.[a-z.]+")


@dataclass(frozen=True)
class PortalAddress:
    """The address of a portal.

    *host* includes the port if the address has one. *webhook* is the base address of a webhook's calls, with its
    secret; None if the address is not a webhook.
    """

    origin: str
    host: str
    webhook: Secret | None


def parse_address(url: str, policy: EgressPolicy) -> PortalAddress:
    """Parse *url*.

    Raises:
        InvalidInput: it cannot be the address of a portal, or the policy forbids it.
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
        raise InvalidInput.of_field(FIELD, "private_address", "must be an address on the public internet")
    if webhook := WEBHOOK_PATH.fullmatch(parts.path):
        return PortalAddress(origin, host, Secret(f"{origin}/rest/{webhook[1]}/{webhook[2]}/"))
    if any(LIKE_WEBHOOK.search(unquote(part)) for part in (parts.path, parts.query, parts.fragment)):
        raise InvalidInput.of_field(
            FIELD, "invalid_webhook", "an inbound webhook has the form https://PORTAL/rest/USER/CODE/"
        )
    return PortalAddress(origin, host, None)


def subdomain_of(host: str) -> str:
    """Return the first label of a cloud portal's host; the whole host of any other portal."""
    cloud = CLOUD_HOST.fullmatch(host)
    return cloud[1] if cloud else host
