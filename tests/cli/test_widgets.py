"""The command `widgets`: its files, its output and its exit statuses, without a running gateway."""

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pysqlite3
import pytest

from gateway.cli.widget_files import MAX_FILE_BYTES
from gateway.settings.secret_file import read_secret_file
from storage.database import migrations, newest_version
from tests.cli.conftest import Invoke, Spawn
from tests.support.widgets import TEXT_FIELD, manifest

Write = Callable[..., str]
EARLIER = 12  # the version before the tables of widgets
COUNT_VERSIONS = "SELECT code, count(*) FROM widgets JOIN widget_versions USING (widget_id) GROUP BY code"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of JSON, and return its name."""

    def write_file(name: str, content: object) -> str:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        return name

    return write_file


def listed(invoke: Invoke) -> list[tuple[int, str, str]]:
    """The ids, codes and versions of all widgets."""
    rows = json.loads(invoke("widgets", "list", "--json").stdout)
    return [(row["id"], row["code"], row["version"]) for row in rows]


def refusal(invoke: Invoke, *arguments: str) -> list[str]:
    """The lines on stderr of a command that fails and prints nothing else."""
    result = invoke("widgets", *arguments)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    return result.stderr.splitlines()


def test_a_file_has_one_manifest_or_a_list_of_them(invoke: Invoke, write: Write) -> None:
    write("one.json", manifest("one"))
    write("more.json", [manifest("two", id=742), manifest("three", version="3.0")])
    result = invoke("widgets", "load", "one.json", "more.json")
    assert (result.exit_code, result.stdout) == (0, "added one 1.0.0\nadded two 1.0.0\nadded three 3.0\n")
    assert listed(invoke) == [(1, "one", "1.0.0"), (742, "two", "1.0.0"), (743, "three", "3.0")]


def test_a_directory_is_read_in_the_order_of_names_without_hidden_and_nested_files(
    invoke: Invoke, tmp_path: Path, write: Write
) -> None:
    for name in ("b.json", "a.json", ".hidden.json", "c.txt"):
        write(f"widgets/{name}", manifest(name[0]))
    (tmp_path / "widgets" / "deeper").mkdir()
    write("widgets/deeper/d.json", manifest("d"))
    (tmp_path / "widgets" / "z.json").symlink_to(tmp_path / write("linked", manifest("linked")))
    (tmp_path / "alias").symlink_to("widgets")
    result = invoke("widgets", "load", "alias")
    assert result.stdout == "added a 1.0.0\nadded b 1.0.0\nadded linked 1.0.0\n", result.output


def test_another_manifest_of_a_known_code_is_a_new_version(invoke: Invoke, write: Write) -> None:
    invoke("widgets", "load", write("a.json", [manifest("a", version="1"), manifest("b", version="1")]))
    both = [manifest("a", version="2"), manifest("b", version="1", visibility="public", id=2)]
    result = invoke("widgets", "load", write("a.json", both))
    assert result.stdout == "updated a 1 -> 2\nunchanged b\n"
    renamed = [manifest("a", version="2", name="Other")]
    result = invoke("widgets", "load", write("a.json", renamed), "--json")
    assert json.loads(result.stdout) == [{"code": "a", "status": "updated", "version": "2", "previous": "2"}]
    assert versions(Path("gateway.db")) == {"a": 3, "b": 1}


def versions(database: Path) -> dict[str, int]:
    """The number of stored versions by code."""
    with closing(pysqlite3.connect(database)) as connection:
        return dict(
            connection.execute("SELECT code, count(*) FROM widgets JOIN widget_versions USING (widget_id) GROUP BY 1")
        )


def test_all_mistakes_of_all_files_are_told_and_nothing_is_stored(invoke: Invoke, tmp_path: Path, write: Write) -> None:
    write("widgets/a.json", manifest("a"))
    write("widgets/b.json", manifest("b", visibility="own", version=1, id=0))
    write("widgets/c.json", [manifest("a"), [], manifest("c", id=7, settings_template=[TEXT_FIELD | {"type": "x"}])])
    write("widgets/d.json", manifest("d", id=7, placements=[{"placement": "A"}]))
    (tmp_path / "widgets" / "e.json").write_text("{")
    own = "must be public: a widget of an operator belongs to no account"
    assert refusal(invoke, "load", "widgets", "nothing") == [
        "widgets/e.json: is not JSON: line 1, column 2: unexpected end of data",
        "nothing: does not exist",
        "widgets/b.json: version: must be a text of 1 to 64 characters",
        f"widgets/b.json: visibility: {own}",
        "widgets/b.json: id: must be an integer from 1 to 2147483647",
        "widgets/c.json, manifest 2: must be a JSON object",
        "widgets/c.json, manifest 3: settings_template.0.type: must be one of text, pass, users, users_lp, custom",
        "widgets/d.json: address: is required with placements",
        "widgets/c.json, manifest 1: code: a is also that of widgets/a.json",
        "widgets/d.json: id: 7 is also that of widgets/c.json, manifest 3",
        "Error: nothing was stored",
    ]
    assert not (tmp_path / "gateway.db").exists()


def test_a_mistake_is_told_beside_a_conflict_with_the_catalogue(invoke: Invoke, write: Write) -> None:
    invoke("widgets", "load", write("a.json", manifest("a", id=5)))
    write("b.json", [manifest("a", id=6), manifest("b", id=5), manifest("c", name="")])
    assert refusal(invoke, "load", "b.json") == [
        "b.json, manifest 3: name: must be a text of 1 to 255 characters",
        "b.json, manifest 1: id: must be 5, as that of the widget",
        "b.json, manifest 2: id: 5 is that of the widget a",
        "Error: nothing was stored",
    ]
    assert listed(invoke) == [(5, "a", "1.0.0")]


def test_more_mistakes_than_are_listed_are_counted(invoke: Invoke, write: Write) -> None:
    lines = refusal(invoke, "load", write("a.json", manifest("a", settings_template=[{}] * 30)))
    assert lines[100:] == ["a.json: mistakes left out: 20", "Error: nothing was stored"]


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda path: path.symlink_to("nothing"), "is a link to a file that does not exist"),
        (make_loop, "cannot be read: Too many levels of symbolic links"),
        (make_pipe, "is not a file"),
        (Path.mkdir, "has no *.json files"),
        (lambda path: path.write_bytes(b""), "is not JSON: line 1, column 1: Input is a zero-length, empty document"),
        (
            lambda path: path.write_bytes(b'{\n "a": x}'),
            "is not JSON: line 2, column 7: unexpected character, expected a JSON value",
        ),
        (lambda path: path.write_bytes(b'{"code": "\xff"}'), "is not UTF-8: byte 11"),
        (lambda path: path.write_bytes(b"[" * 5000), "is not JSON: line 1, column 1026: depth limit exceeded"),
        (lambda path: path.write_bytes(b"[]"), "has no manifest"),
        (lambda path: path.write_bytes(b"5"), "must be a JSON object"),
        (lambda path: path.write_bytes(b" " * (MAX_FILE_BYTES + 1)), "must have at most 10,000,000 bytes"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(
    invoke: Invoke, tmp_path: Path, make: Callable[[Path], object], rule: str
) -> None:
    make(tmp_path / "a.json")
    assert refusal(invoke, "load", "a.json") == [f"a.json: {rule}", "Error: nothing was stored"]


def test_a_directory_with_the_name_of_a_file_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "widgets" / "a.json").mkdir(parents=True)
    assert refusal(invoke, "load", "widgets")[0] == "widgets/a.json: cannot be read: Is a directory"


def test_names_and_versions_cannot_control_the_terminal(invoke: Invoke, write: Write) -> None:
    (line, _) = refusal(invoke, "load", write("a\x1b[2J.json", []))
    assert line == "a\\x1b[2J.json: has no manifest"
    assert invoke("widgets", "load", write("a.json", manifest(version="\x1b[2J"))).stdout == "added asterisk \\x1b[2J\n"
    assert "\\x1b[2J" in invoke("widgets", "list").stdout


def test_the_first_load_creates_the_database_and_its_encryption_key(
    invoke: Invoke, tmp_path: Path, write: Write
) -> None:
    result = invoke("widgets", "load", write("a.json", manifest("a")), "--database", "new.db")
    assert (result.exit_code, "generated secrets: back this file up" in result.stderr) == (0, True)
    assert {"new.db", "new.db.secrets"} <= set(os.listdir(tmp_path))
    assert list(read_secret_file(tmp_path / "new.db.secrets")) == ["GATEWAY_ENCRYPTION_KEY"]
    assert refusal(invoke, "load", "a.json", "--database", "none/new.db")[0].startswith(
        "Error: GATEWAY_DATABASE (--database) is none/new.db, but there is no directory"
    )


@pytest.mark.parametrize("command", [("list",), ("remove", "a")])
@pytest.mark.parametrize("name", ["none.db", "nowhere/none.db"])
def test_a_missing_database_is_reported_and_not_created(
    invoke: Invoke, tmp_path: Path, command: tuple[str, ...], name: str
) -> None:
    lines = refusal(invoke, *command, "--database", name)
    assert lines == [f"Error: GATEWAY_DATABASE (--database): there is no database {name}"]
    assert list(tmp_path.iterdir()) == []


def test_another_encryption_key_is_refused(invoke: Invoke, write: Write) -> None:
    invoke("widgets", "load", write("a.json", manifest("a")))
    (line,) = refusal(invoke, "load", "a.json", "--encryption-key", "B" * 43)
    assert line.startswith("Error: the encryption key is different: gateway.db needs the key")
    os.unlink("gateway.db.secrets")
    (line,) = refusal(invoke, "load", "a.json")
    assert line.startswith("Error: the encryption key is missing")
    assert listed(invoke) == [(1, "a", "1.0.0")]  # which needs no key


def test_the_list_shows_a_line_for_each_widget(invoke: Invoke, write: Write) -> None:
    invoke("widgets", "load", write("a.json", [manifest("asterisk"), manifest("b", version="2.10")]))
    assert invoke("widgets", "list").stdout.splitlines() == [
        "id  code      version  visibility  account  user  installations",
        "1   asterisk  1.0.0    public                     0",
        "2   b         2.10     public                     0",
    ]


def test_widgets_are_removed_all_or_none(invoke: Invoke, write: Write) -> None:
    invoke("widgets", "load", write("a.json", [manifest("a"), manifest("b")]))
    for arguments in (("a", "x", "y"), ("a", "x", "y", "--force")):
        lines = refusal(invoke, "remove", *arguments)
        assert lines == ["Error: nothing was removed: there is no widget x; there is no widget y"]
    assert len(listed(invoke)) == 2
    assert invoke("widgets", "remove", "a", "b", "a").stdout == "removed a\nremoved b\n"
    assert listed(invoke) == []


@pytest.mark.parametrize("command", [("load",), ("remove",), ("fly",)])
def test_incorrect_usage_exits_with_status_2(invoke: Invoke, command: tuple[str, ...]) -> None:
    assert invoke("widgets", *command).exit_code == 2


def test_help_says_when_a_running_gateway_serves_the_change(invoke: Invoke) -> None:
    words = " ".join(invoke("widgets", "--help").stdout.split())
    assert "A running gateway serves a change within a second; the commands return after that second." in words


async def test_the_gateway_serves_what_was_loaded_beside_it_when_the_command_returns(
    spawn: Spawn, ports: Callable[[], int], write: Write
) -> None:
    gateway = await spawn("serve", "--port", str(ports()))
    await gateway.until("listening")
    commands = [await spawn("widgets", "load", write(f"{number}.json", manifest(f"w{number}"))) for number in range(3)]
    for number, command in enumerate(commands):
        assert await command.end() == (0, f"added w{number} 1.0.0\n")
    assert (await (await spawn("widgets", "remove", "w1")).end())[0] == 0
    status, output = await gateway.end(signal.SIGTERM)
    assert (status, "Traceback" in output) == (0, False)
    assert set(re.findall(r"w\d", (await (await spawn("widgets", "list")).end())[1])) == {"w0", "w2"}


def set_version(change: int) -> None:
    with closing(pysqlite3.connect("gateway.db", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {newest_version() + change}")


@pytest.mark.parametrize("command", [("load", "a.json"), ("list",), ("remove", "a")])
@pytest.mark.parametrize(
    ("change", "advice"),
    [(-1, "restart the gateway with this one"), (1, "install a newer gateway")],
)
async def test_the_database_of_a_running_gateway_of_another_version_is_refused(
    spawn: Spawn, write: Write, invoke: Invoke, change: int, advice: str, command: tuple[str, ...]
) -> None:
    write("a.json", manifest("a"))
    gateway = await spawn("serve", "--port", "0")
    await gateway.until("listening")
    set_version(change)
    (line,) = await asyncio.to_thread(refusal, invoke, *command)
    assert advice in line
    assert f"has version {newest_version() + change}" in line


def test_an_empty_file_is_no_database_before_the_first_load(invoke: Invoke, tmp_path: Path, write: Write) -> None:
    (tmp_path / "gateway.db").touch()
    assert refusal(invoke, "list") == ["Error: GATEWAY_DATABASE (--database): there is no database gateway.db"]
    assert invoke("widgets", "load", write("a.json", manifest("a"))).exit_code == 0


def test_the_database_of_an_earlier_version_is_migrated(invoke: Invoke, tmp_path: Path) -> None:
    with closing(pysqlite3.connect(tmp_path / "gateway.db", isolation_level=None)) as connection:
        connection.executescript("".join(sql for number, sql in migrations() if number <= EARLIER))
        connection.execute(f"PRAGMA user_version = {EARLIER}")
    result = invoke("widgets", "list")
    assert (result.exit_code, result.stdout.splitlines()[1:]) == (0, [])


def test_the_database_of_another_program_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    with closing(pysqlite3.connect(tmp_path / "music.db")) as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
    assert "is the database of another program" in refusal(invoke, "list", "--database", "music.db")[0]
