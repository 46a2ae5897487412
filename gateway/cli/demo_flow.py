"""The complete flow of the demo: a contact, a card of a smart process linked to it, a field of the card, its stage."""

from dataclasses import dataclass
from typing import Any

import click

from gateway.cli.gateway_client import GatewayClient, RequestFailed
from gateway.sandbox.portal import SandboxPortal

CARDS = "items/128"  # the smart process of the sandbox
STAGE = "Успех"


class FlowFailed(RequestFailed):
    """the portal does not have what the gateway has written"""

    code = "flow_failed"


@dataclass
class Flow:
    """Sends the requests of the flow, and says what each has done."""

    client: GatewayClient

    async def step(self, said: str, method: str, path: str, body: dict[str, object]) -> dict[str, Any]:
        """Send a request and return the record that it answers."""
        record: dict[str, Any] = await self.client.request(method, f"/bitrix/{path}", body)
        click.echo(f"  {said}: {method} /bitrix/{path}")
        return record


async def run_flow(client: GatewayClient, portal: SandboxPortal) -> None:
    """Write a contact and a card through the gateway, and compare them with what the portal has then.

    Raises:
        RequestFailed: a request failed; FlowFailed: the portal has something else.
    """
    click.echo("A complete flow:")
    flow = Flow(client)
    fields = await client.request("GET", f"/bitrix/{CARDS}/fields")
    custom = next(
        field["name"]
        for field in fields["items"]
        if field["name"].startswith("ufCrm") and field["type"] == "string" and not field["multiple"]
    )
    sent: dict[str, object] = {"NAME": "Zoë", "PHONE": "+7 900 123-45-67"}
    contact = await flow.step("found or created a contact", "PUT", "contacts?match=PHONE", sent)
    card = await flow.step(
        "created a card of the contact", "POST", CARDS, {"title": "Call", "contactId": contact["id"]}
    )
    path = f"{CARDS}/{card['id']}"
    await flow.step("changed a field of the card", "PATCH", path, {custom: "In Progress"})
    moved = await flow.step("moved the card to a stage", "PUT", f"{path}/stage", {"stage": STAGE})
    stored = portal.data.tables[CARDS][card["id"]]
    phones = portal.data.tables["contacts"][contact["id"]]["PHONE"]
    found = {
        "phone": [phone["VALUE"] for phone in phones],
        "contact": stored["CONTACT_ID"],
        "field": "In Progress" in stored.values(),
        "stage": stored["STAGE_ID"],
        "name of the stage": next(
            status["NAME"] for status in portal.data.statuses.values() if status["STATUS_ID"] == stored["STAGE_ID"]
        ),
    }
    expected = {
        "phone": [sent["PHONE"]],
        "contact": str(contact["id"]),
        "field": True,
        "stage": moved["stageId"],
        "name of the stage": STAGE,
    }
    if found != expected:
        raise FlowFailed(f"the portal has {found} instead of {expected}")
