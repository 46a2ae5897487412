"""events, event.bind, get, unbind, test, and the events that offline handlers put into the queue."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.clock import ManualClock
from tests.sandbox.client import Answer, RestClient
from tests.sandbox.examples import EXAMPLES, compare

Calling = Callable[..., Coroutine[Any, Any, Answer]]
URL = "https://www.my-domain.com/handler/"


@pytest.fixture
def calls_of(anonymous: RestClient, tokens_of: Callable[[int], str]) -> Callable[[int], Calling]:
    """Return a function that makes calls of the application for a user."""

    def calls(user_id: int) -> Calling:
        token = tokens_of(user_id)

        async def call(method: str, **params: Any) -> Answer:
            return await anonymous.call(f"/rest/{method}", auth=token, **params)

        return call

    return calls


@pytest.fixture
def call(calls_of: Callable[[int], Calling]) -> Calling:
    """Calls of the application for the administrator."""
    return calls_of(1)


@pytest.fixture
def colleague(portal: SandboxPortal) -> int:
    return list(portal.data.users)[1]


def documented(example: str) -> Any:
    return json.loads((EXAMPLES / f"{example}.json").read_text())


async def test_all_documented_events_can_be_bound(call: Calling) -> None:
    answer = await call("events")
    names = [name for name in documented("events")["result"] if not name.endswith("_147")]
    assert [name for name in answer.result if name in names] == names
    assert set(answer.result) - set(names) >= {"ONCRMDYNAMICITEMADD_128", "ONCRMTYPEUSERFIELDADD"}
    assert (await call("events", scope="task")).result[0] == "ONTASKADD"
    assert "ONCRMDEALADD" in (await call("events", full=True)).result
    assert "ONAPPTEST" in (await call("events", scope="")).result


async def test_a_handler_lives_until_it_is_unbound(call: Calling) -> None:
    bound = await call("event.bind", event="onCrmLeadAdd", handler=URL)
    compare(bound.body, "event.bind")
    assert (await call("event.bind", EVENT="ONCRMLEADADD", HANDLER=URL, AUTH_TYPE=15)).result is True
    listed = await call("event.get")
    compare(listed.body, "event.get")
    assert listed.result == documented("event.get")["result"]
    for user, count in (({"auth_type": 15}, 1), ({"auth_type": ""}, 1), ({}, 0)):
        unbound = await call("event.unbind", event="ONCRMLEADADD", handler=URL, **user)
        compare(unbound.body, "event.unbind")
        assert unbound.result == {"count": count}
    assert (await call("event.get")).result == []


async def test_without_auth_type_the_handlers_of_all_users_are_unbound(call: Calling) -> None:
    for user_id in (0, 15, 16):
        await call("event.bind", event="ONTASKADD", handler=URL, auth_type=user_id)
    assert (await call("event.unbind", event="ONTASKADD", handler=URL)).result == {"count": 3}


async def test_offline_handlers_are_listed_with_their_connector(call: Calling) -> None:
    assert (await call("event.bind", event="ONTASKADD", event_type="offline", handler=URL)).result is True
    assert (await call("event.get")).result == [{"event": "ONTASKADD", "connector_id": "", "offline": 1}]
    assert (await call("event.unbind", event="ONTASKADD", event_type="offline")).result == {"count": 1}


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"event": "ONNOTHING"}, *documented("event.bind.error").values()),
        ({"event": ""}, "ERROR_ARGUMENT", "Argument 'EVENT' is null or empty"),
        ({"handler": ""}, "ERROR_ARGUMENT", "Argument 'HANDLER' is null or empty"),
        ({"event_type": "later"}, "ERROR_ARGUMENT", "Value must be one of {online|offline}"),
        (
            {"event": "ONOFFLINEEVENT", "event_type": "offline"},
            "ERROR_ARGUMENT",
            "Offline event cannot be registered for this event.",
        ),
        ({"handler": "ftp://example.com/"}, "ERROR_UNSUPPORTED_PROTOCOL", "Unsupported event handler protocol"),
        ({"handler": "https://localhost/"}, "ERROR_WRONG_HANDLER_URL", "Wrong handler URL"),
        ({"event": "ONTASKADD"}, "ERROR_CORE", "Unable to set event handler: Handler already binded"),
    ],
)
async def test_a_wrong_handler_is_refused(call: Calling, params: dict[str, Any], code: str, text: str) -> None:
    await call("event.bind", event="ONTASKADD", handler=URL)
    answer = await call("event.bind", **{"event": "ONTASKUPDATE", "handler": URL, **params})
    assert (answer.status, answer.error, answer.body["error_description"]) == (400, code, text)


async def test_a_colleague_has_only_own_online_handlers(
    call: Calling, calls_of: Callable[[int], Calling], colleague: int
) -> None:
    own = calls_of(colleague)
    await call("event.bind", event="ONTASKADD", handler=URL)
    assert (await own("event.bind", event="ONTASKADD", handler=URL)).result is True
    assert [row["auth_type"] for row in (await own("event.get")).result] == [str(colleague)]
    assert len((await call("event.get")).result) == 2
    refused = [
        await own("event.bind", event="ONTASKADD", handler=URL, auth_type=1),
        await own("event.bind", event="ONTASKADD", event_type="offline"),
        await own("event.unbind", event="ONTASKADD", handler=URL, auth_type=str(colleague)),
    ]
    assert [(answer.status, answer.error) for answer in refused] == [(403, "ACCESS_DENIED")] * 3
    answer = await own("event.unbind", event="ONTASKADD", event_type="offline")
    assert (answer.status, answer.body) == (403, documented("event.unbind.error"))
    assert (await own("event.unbind", event="ONTASKADD", handler=URL, auth_type=colleague)).result == {"count": 1}


@pytest.mark.parametrize("method", ["events", "event.bind", "event.get", "event.unbind", "event.test"])
async def test_a_webhook_has_no_access_to_events(webhook: RestClient, method: str) -> None:
    answer = await webhook.call(method, event="ONTASKADD", handler=URL)
    assert (answer.status, answer.error) == (403, "WRONG_AUTH_TYPE")


async def test_a_test_event_has_the_parameters_of_the_call(call: Calling) -> None:
    answer = await call("event.test", any="thing")
    assert answer.result == documented("event.test")["result"]
    await call("event.bind", event="ONAPPTEST", event_type="offline")
    await call("event.test", any="thing")
    (event,) = (await call("event.offline.get")).result["events"]
    assert (event["EVENT_NAME"], event["EVENT_DATA"]) == ("ONAPPTEST", {"QUERY": {"any": "thing"}})


async def test_only_bound_events_are_queued(call: Calling, portal: SandboxPortal) -> None:
    await call("event.bind", event="ONCRMDEALADD", event_type="offline")
    await call("event.bind", event="ONCRMDEALUPDATE", handler=URL)
    for name in ("ONCRMDEALADD", "ONCRMDEALUPDATE", "ONCRMDEALDELETE"):
        portal.data.events.record(name, {"FIELDS": {"ID": "7"}}, portal.now(), 5)
    (event,) = (await call("event.offline.list")).result
    assert (event["EVENT_NAME"], event["EVENT_DATA"]) == ("ONCRMDEALADD", {"FIELDS": {"ID": "7"}})
    assert (event["EVENT_ADDITIONAL"], event["PROCESS_ID"], event["ERROR"]) == ({"user_id": "5"}, "", "0")
    assert len(event["MESSAGE_ID"]) == 32


async def test_the_same_event_waits_only_once(call: Calling, portal: SandboxPortal, clock: ManualClock) -> None:
    await call("event.bind", event="ONCRMDEALUPDATE", event_type="offline")
    record, data = portal.data.events.record, {"FIELDS": {"ID": "7"}}
    record("ONCRMDEALUPDATE", data, portal.now())
    before = portal.data.offline_events[1]["TIMESTAMP_X"]
    await clock.advance(60)
    record("ONCRMDEALUPDATE", data, portal.now())
    record("ONCRMDEALUPDATE", {"FIELDS": {"ID": "8"}}, portal.now())
    assert list(portal.data.offline_events) == [1, 2]
    assert portal.data.offline_events[1]["TIMESTAMP_X"] > before
    process_id = (await call("event.offline.get", clear=0)).result["process_id"]
    record("ONCRMDEALUPDATE", data, portal.now())
    assert list(portal.data.offline_events) == [1, 2, 3]
    await call("event.offline.clear", process_id=process_id)
    assert list(portal.data.offline_events) == [3]


async def test_events_of_items_are_also_events_of_their_type(call: Calling, portal: SandboxPortal) -> None:
    for name in ("ONCRMDYNAMICITEMADD", "ONCRMDYNAMICITEMADD_128"):
        assert (await call("event.bind", event=name, event_type="offline")).result is True
    for entity_type_id in ("128", "31"):
        data = {"FIELDS": {"ID": "4", "ENTITY_TYPE_ID": entity_type_id}}
        portal.data.events.record("ONCRMDYNAMICITEMADD", data, portal.now())
    names = [event["EVENT_NAME"] for event in (await call("event.offline.get")).result["events"]]
    assert names == ["ONCRMDYNAMICITEMADD", "ONCRMDYNAMICITEMADD_128", "ONCRMDYNAMICITEMADD"]
