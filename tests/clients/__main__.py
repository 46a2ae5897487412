"""Generate a Python client from openapi.yaml and use it on the demo: lists, calls, syncs and rules of a quiz."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE = "generated_client"
UNREADABLE = ("application/x-ndjson", "application/yaml", "*/*")  # the media types that the generator may leave out
START_S, GENERATE_S, POLL_S, POLLS = 60, 60, 0.1, 300
USERS, QUIZ = 60, 7
RULES = {
    "PerformerID": "1",
    "PipelineID": 0,
    "TypeID": "SALE",
    "StageID": "NEW",
    "SourceID": "WEB",
    "FieldsRule": {"lead": {"QuestionID": {"3": "UF_CRM_1"}}},
    "TagsToAdd": {"deal": ["quiz"]},
    "LeadFlag": False,
    "StatusID": "NEW",
}


@asynccontextmanager
async def demo(directory: Path) -> AsyncIterator[tuple[str, str]]:
    """Run a demo until the block ends; yield its origin and token."""
    command = (sys.executable, "-m", "gateway", "demo", "--port=0", "--portal-port=0", f"--users={USERS}")
    process = await asyncio.create_subprocess_exec(
        *command, f"--database={directory / 'demo.db'}", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    origin = token = ""
    try:
        async with asyncio.timeout(START_S):
            while not token:
                line = (await process.stdout.readline()).decode()
                assert line, "the demo ended before it printed its token"
                origin = line.split()[-1] if ", gateway at " in line else origin
                token = line.strip().removeprefix("TOKEN=") if line.startswith("TOKEN=") else ""
        yield origin, token
    finally:
        process.terminate()
        await process.communicate()


async def generate(directory: Path) -> None:
    """Write the client's package into *directory*.

    Raises:
        AssertionError: the generator fails or omits an operation.
    """
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("openapi-python-client"),
        "generate",
        f"--path={ROOT / 'openapi.yaml'}",
        f"--output-path={directory / PACKAGE}",
        "--meta=none",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(GENERATE_S):
        output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    warnings = output.split("WARNING ")[1:]
    assert [warning for warning in warnings if not any(media in warning for media in UNREADABLE)] == [], output


def operation(name: str) -> Any:
    """The module of the operation *name*, like ``users.list_users``."""
    return import_module(f"{PACKAGE}.api.{name}")


def parsed(answer: Any, status: int = 200) -> Any:
    """Check the status of a response and return its parsed body."""
    assert answer.status_code == status, (answer.status_code, answer.content)
    return answer.parsed


async def use(origin: str, token: str) -> None:
    """Use the most common operations.

    Raises:
        AssertionError: a response does not have the type that the client declares.
    """
    models = import_module(f"{PACKAGE}.models")
    client = import_module(f"{PACKAGE}.client").AuthenticatedClient(origin, token, raise_on_unexpected_status=True)
    async with client as caller:

        async def ask(name: str, *arguments: object, **more: object) -> Any:
            return await operation(name).asyncio_detailed(*arguments, client=caller, **more)

        page = parsed(await ask("users.list_users", page=2, size=25))
        assert (page.count, len(page.items)) == (USERS, 25)
        assert all(isinstance(user, models.BitrixAccountUser) and user.bitrix_user_id for user in page.items)
        refused = parsed(await ask("users.list_users", page=0), 400)
        assert refused.startswith("page: "), refused

        parameters = models.CallParameters.from_dict({"ID": 1})
        answer = parsed(await ask("calls.call_method", "user.get", body=parameters))
        assert answer.result[0]["ID"] == "1"
        problem = parsed(await ask("calls.call_method", "no.such.method"), 404)
        assert isinstance(problem, models.Problem)
        assert problem.code
        commands = {"me": {"method": "profile"}, "none": {"method": "crm.deal.get", "params": {"id": 999_999_999}}}
        batch = models.Batch.from_dict({"commands": commands})
        results = parsed(await ask("calls.call_batch", body=batch)).results.additional_properties
        assert isinstance(results["me"], models.CallAnswer)
        assert isinstance(results["none"], models.CommandFailure)

        started = await ask("users.refresh_users")
        assert started.headers["Location"] == "/bitrix/sync/users"
        for _ in range(POLLS):
            run = parsed(await ask("sync.get_sync_run", models.MirroredList.USERS))
            if run.state is models.SyncRunState.DONE:
                break
            await asyncio.sleep(POLL_S)
        assert (run.state, run.rows) == (models.SyncRunState.DONE, USERS), run

        parsed(await ask("rules.create_rules", QUIZ, body=models.BitrixRulesReq.from_dict(RULES)))
        rules = parsed(await ask("rules.get_rules", QUIZ))
        assert isinstance(rules, models.BitrixRule)
        assert {name: rules.to_dict()[name] for name in RULES} == RULES


async def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        await generate(Path(scratch))
        sys.path.insert(0, scratch)
        async with demo(Path(scratch)) as (origin, token):
            await use(origin, token)
    print("A generated Python client lists, calls, syncs and reads rules.")


if __name__ == "__main__":
    asyncio.run(main())
