"""The complete flow of the demo: a contact, a card of a smart process linked to it, a field of the card, its stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
import orjson

from gateway.cli.gateway_client import GatewayClient, RequestFailed
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.rest2.views import item_name

CARDS = "items/128"  # the smart process of the sandbox
PHONE = "+7 900 765-43-21"  # not that of an example in the README, whose contacts must stay the only ones with theirs
TITLE, VALUE, STAGE = "Call", "In Progress", "Успех"


class FlowFailed(RequestFailed):
    """the gateway or the portal does not have what was written"""

    code = "flow_failed"


@dataclass(frozen=True)
class Flow:
    """What was written: the ids of a contact and of its card, and the name of the changed field of the card."""

    contact: int
    card: int
    field: str


async def run_flow(client: GatewayClient, portal: SandboxPortal) -> None:
    """Write a contact and a card through the gateway, read them back, and compare them with the data of *portal*.

    Raises:
        RequestFailed: a request failed; FlowFailed: the gateway or the portal has something else.
    """
    click.echo("A complete flow:")
    check_portal(await write_records(client), portal)
    click.echo("  The portal has the contact, its card, the field and the stage.")


async def write_records(client: GatewayClient) -> Flow:
    """Write a contact and a card, and find the card by the contact.

    Raises:
        RequestFailed: a request failed; FlowFailed: the gateway shows something else.
    """
    described = await client.request("GET", f"/bitrix/{CARDS}/fields")
    field = next(
        each["name"]
        for each in described["items"]
        if each["name"].startswith("ufCrm") and each["type"] == "string" and not each["multiple"]
    )
    person = {"NAME": "Zoë", "PHONE": PHONE}
    contact = (await step(client, "found or created a contact", "PUT", "contacts?match=PHONE", person))["id"]
    linked = {"title": TITLE, "contactId": contact}
    card = (await step(client, "created a card of the contact", "POST", CARDS, linked))["id"]
    await step(client, "changed a field of the card", "PATCH", f"{CARDS}/{card}", {field: VALUE})
    await step(client, "moved the card to a stage", "PUT", f"{CARDS}/{card}/stage", {"stage": STAGE})
    query = f"contactId={contact}&select=title,stageId,{field}&translate=1"
    found = (await step(client, "found the card by the contact", "GET", f"{CARDS}?{query}"))["items"]
    expected = [{"id": card, "title": TITLE, "stageId": STAGE, field: VALUE}]
    if found != expected:
        raise FlowFailed(f"the gateway shows {found} instead of {expected}")
    return Flow(contact, card, field)


async def step(
    client: GatewayClient, said: str, method: str, path: str, body: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Send a request, print it, and return what it answers."""
    answer: dict[str, Any] = await client.request(method, f"/bitrix/{path}", body)
    sent = "" if body is None else f" {orjson.dumps(body).decode()}"
    click.echo(f"  {said}: {method} /bitrix/{path}{sent}")
    return answer


def check_portal(flow: Flow, portal: SandboxPortal) -> None:
    """Compare what *flow* has written with the data of *portal*.

    Raises:
        FlowFailed: they differ.
    """
    data = portal.data
    contact = data.tables["contacts"].get(flow.contact, {})
    card = {item_name(name): value for name, value in data.tables[CARDS].get(flow.card, {}).items()}
    stages = {row["STATUS_ID"]: row["NAME"] for row in data.statuses.values()}
    found = {
        "phones": [phone["VALUE"] for phone in contact.get("PHONE", ())],
        "contact": card.get("contactId"),
        "title": card.get("title"),
        "field": card.get(flow.field),
        "stage": stages.get(card.get("stageId")),
    }
    expected = {
        "phones": [PHONE],
        "contact": str(flow.contact),
        "title": TITLE,
        "field": VALUE,
        "stage": STAGE,
    }
    if found != expected:
        raise FlowFailed(f"the portal has {found} instead of {expected}")
