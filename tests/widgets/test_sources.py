"""Widgets that are sources of leads, and their pipelines."""

from typing import Any

import pytest

from tests.gateway import Gateway
from tests.support.widgets import WIDGETS, Person, broken_rules, manifest

SOURCE = f"{WIDGETS}/a/source"


@pytest.fixture
async def source(connected: Gateway) -> Person:
    """An administrator who has added and installed a source of leads, on a portal with mirrored pipelines."""
    admin = Person(connected, admin=True)
    await admin.add("a", is_lead_source=True)
    await admin.install("a")
    return admin


async def deal_pipelines(gateway: Gateway) -> list[int]:
    return [row["bitrixID"] for row in await gateway.rows("pipelines") if row["entityTypeId"] == 2]


async def test_the_pipeline_of_a_source_is_shown(connected: Gateway, source: Person, user: Person) -> None:
    pipelines = await deal_pipelines(connected)
    assert 0 in pipelines
    for pipeline in (*pipelines, None):
        answer = await source.put(SOURCE, json={"pipeline_id": pipeline})
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/hal+json")
        assert answer.json["pipeline_id"] == pipeline
        assert (await user.widget("a"))["pipeline_id"] == pipeline


async def test_an_unknown_pipeline_is_refused(connected: Gateway, source: Person) -> None:
    others = {row["bitrixID"] for row in await connected.rows("pipelines")} - set(await deal_pipelines(connected))
    for pipeline in (*others, 999, 10**17):
        answer = await source.put(SOURCE, json={"pipeline_id": pipeline})
        assert broken_rules(answer) == [("pipeline_id", "UnknownPipeline")]
    assert (await source.widget("a"))["pipeline_id"] is None


@pytest.mark.parametrize("value", ["1", 1.5, True, [], {}, -1, 10**18])
async def test_a_pipeline_is_a_number_or_null(source: Person, value: Any) -> None:
    assert broken_rules(await source.put(SOURCE, json={"pipeline_id": value})) == [("pipeline_id", "InvalidValue")]


async def test_a_pipeline_must_be_given(source: Person) -> None:
    assert broken_rules(await source.put(SOURCE, json={})) == [("pipeline_id", "FieldMissing")]
    answer = await source.put(SOURCE, json={"pipeline_id": 0, "pipeline": 0})
    assert broken_rules(answer) == [("pipeline", "UnknownProperty")]


async def test_only_an_installed_source_of_leads_has_a_pipeline(source: Person) -> None:
    await source.add("b")
    await source.install("b")
    answer = await source.put(f"{WIDGETS}/b/source", json={"pipeline_id": 0})
    assert (answer.status, answer.json["code"]) == (409, "no_lead_source")
    await source.delete(f"{WIDGETS}/a")
    answer = await source.put(SOURCE, json={"pipeline_id": 0})
    assert (answer.status, answer.json["code"]) == (409, "not_installed")


async def test_only_an_administrator_chooses_a_pipeline(source: Person, user: Person) -> None:
    assert (await user.put(SOURCE, data=b"{")).status == 403
    assert (await user.put(f"{WIDGETS}/unknown/source", data=b"{")).status == 403
    assert (await source.put(f"{WIDGETS}/unknown/source", data=b"{")).status == 404


async def test_an_account_without_a_portal_has_no_pipelines(source: Person) -> None:
    other = source.but(account="other")
    await other.add("b", is_lead_source=True)
    await other.install("b")
    answer = await other.put(f"{WIDGETS}/b/source", json={"pipeline_id": 0})
    assert broken_rules(answer) == [("pipeline_id", "UnknownPipeline")]


async def test_a_new_installation_keeps_the_pipeline_and_a_removed_one_loses_it(source: Person) -> None:
    await source.put(SOURCE, json={"pipeline_id": 0})
    assert (await source.install("a"))["pipeline_id"] == 0
    await source.put(f"{WIDGETS}/a/manifest", json=manifest("a", version="2", is_lead_source=True))
    assert (await source.widget("a"))["pipeline_id"] == 0
    await source.delete(f"{WIDGETS}/a")
    assert (await source.install("a"))["pipeline_id"] is None
