"""Health checks."""

from gateway import __version__
from handlers.app import drain
from tests.gateway import NO_TOKEN, Gateway
from tests.support.stored import run_sql

WRITES_FAIL = "CREATE TRIGGER full BEFORE INSERT ON facts BEGIN SELECT RAISE(FAIL, 'disk full'); END"


async def test_the_api_responds_with_a_json_ok(gateway: Gateway) -> None:
    answer = await gateway.get("/bitrix")
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b'"OK"', "application/json")


async def test_liveness_has_the_version(gateway: Gateway) -> None:
    answer = await gateway.get("/healthz", token=NO_TOKEN)
    assert (answer.status, answer.json) == (200, {"status": "ok", "version": __version__})


async def test_the_gateway_is_ready_while_its_database_can_be_written(gateway: Gateway) -> None:
    ready = await gateway.get("/readyz", token=NO_TOKEN)
    assert (ready.status, ready.json) == (200, {"status": "ready"})
    run_sql(gateway, WRITES_FAIL)
    unready = await gateway.get("/readyz", token=NO_TOKEN)
    assert (unready.status, unready.json["status"]) == (503, "unavailable")
    assert "cannot be written" in unready.json["reason"]
    assert (await gateway.get("/healthz", token=NO_TOKEN)).status == 200
    run_sql(gateway, "DROP TRIGGER full")
    assert (await gateway.get("/readyz", token=NO_TOKEN)).status == 200


async def test_a_draining_gateway_is_not_ready_and_still_responds(gateway: Gateway) -> None:
    await drain(gateway.app)
    answer = await gateway.get("/readyz", token=NO_TOKEN)
    assert (answer.status, answer.json["reason"]) == (503, "the gateway is shutting down")
    assert (await gateway.get("/bitrix")).status == 200
    assert (await gateway.get("/healthz", token=NO_TOKEN)).status == 200
