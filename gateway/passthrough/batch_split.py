"""Splits a batch of any length into requests of 50 commands; pure."""

import re
from collections.abc import Iterator, Mapping, Sequence

from gateway.bitrix.protocol.v2 import BATCH_COMMANDS, Command
from gateway.errors import InvalidInput

# Matches as a portal does: the prefix in any case, and any text between it and the first bracket.
# Source: protocol.md 8.4 (b24restdocs settings/how-to-call-rest-api/batch.md)
REFERENCE = re.compile(r"\$(?:result|next|total|time|error)[^\s\[]*\[([^\]]+)\]", re.IGNORECASE)

Commands = dict[str, Command]
"""The commands of one request, by name."""


def split_batch(commands: Mapping[str, Command], pointers: Sequence[str]) -> list[Commands]:
    """Split *commands*, in their order, into the requests that carry them.

    *pointers* are the JSON pointers of the commands in the caller's body.

    Raises:
        InvalidInput: a command refers to one that is not an earlier command of the same request.
    """
    names = list(commands)
    positions = {name: index for index, name in enumerate(names)}
    for index, name in enumerate(names):
        for target in references(commands[name].arguments):
            position = positions.get(target)
            if position is None or position >= index:
                rule = f"refers to {target!r}, which is not an earlier command"
            elif position // BATCH_COMMANDS != index // BATCH_COMMANDS:
                rule = f"refers to {target!r}, which is sent in another request: one takes {BATCH_COMMANDS} commands"
            else:
                continue
            raise InvalidInput.of_field(f"{pointers[index]}/params", "reference", rule)
    starts = range(0, len(names), BATCH_COMMANDS)
    return [{name: commands[name] for name in names[start : start + BATCH_COMMANDS]} for start in starts]


def has_references(commands: Commands) -> bool:
    """Whether a command uses the result of another one."""
    return any(True for command in commands.values() for _ in references(command.arguments))


def references(value: object) -> Iterator[str]:
    """Yield the names in each ``$result[name]`` of the strings in *value*, at any depth."""
    if isinstance(value, str):
        yield from REFERENCE.findall(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references(item)
