"""A batch of any length, cut into the requests that it is sent in; pure."""

import re
from collections.abc import Iterator, Mapping, Sequence

from gateway.bitrix.protocol.v2 import BATCH_COMMANDS, Command
from gateway.errors import InvalidInput

# As a portal finds them: each prefix in any case, and whatever follows it up to the first bracket is let be.
# Source: protocol.md 8.4 (b24restdocs settings/how-to-call-rest-api/batch.md)
REFERENCE = re.compile(r"\$(?:result|next|total|time|error)[^\s\[]*\[([^\]]+)\]", re.IGNORECASE)

Chunk = dict[str, Command]


def chunks_of(commands: Mapping[str, Command], pointers: Sequence[str]) -> list[Chunk]:
    """*commands* as they are sent, when all references lead to earlier ones of the same request.

    Raises:
        InvalidInput: a reference leads elsewhere; *pointers* say where each command lies in the body.
    """
    names = list(commands)
    places = {name: index for index, name in enumerate(names)}
    for index, name in enumerate(names):
        for referred in references(commands[name].arguments):
            place = places.get(referred)
            if place is None or place >= index:
                rule = f"refers to {referred!r}, which is no command before it"
            elif place // BATCH_COMMANDS != index // BATCH_COMMANDS:
                rule = f"refers to {referred!r}, which goes in another request: only {BATCH_COMMANDS} go in one"
            else:
                continue
            raise InvalidInput.of_field(f"{pointers[index]}/params", "reference", rule)
    starts = range(0, len(names), BATCH_COMMANDS)
    return [{name: commands[name] for name in names[start : start + BATCH_COMMANDS]} for start in starts]


def is_linked(chunk: Chunk) -> bool:
    """Whether commands of *chunk* build on each other."""
    return any(True for command in chunk.values() for _ in references(command.arguments))


def references(value: object) -> Iterator[str]:
    """The names in the ``$result[name]`` of *value*'s texts, however deep they lie."""
    if isinstance(value, str):
        yield from REFERENCE.findall(value)
    elif isinstance(value, Mapping):
        for below in value.values():
            yield from references(below)
    elif isinstance(value, list | tuple):
        for below in value:
            yield from references(below)
