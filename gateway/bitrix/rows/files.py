"""The files in rows of the CRM: shown and stored without the addresses that hold the caller's credential.

The portal makes these anew for each answer, so they also say nothing about whether a row has changed.
"""

from collections.abc import Mapping

# Of a file in rows of crm.item, and of the classic methods; ``url`` and ``showUrl`` need the session of a browser.
# Source: protocol.md 17, methods.md 5.7 and 8.4 (b24restdocs api-reference/files/how-to-update-files.md)
_SECRET = ("urlMachine", "downloadUrl")
_MARKS = tuple(b'"%b":' % name.encode() for name in _SECRET)  # a text with such a name has its quotes escaped


def has_secret_addresses(encoded: bytes) -> bool:
    """Whether the JSON of a row has a file with such an address. Rows without a ``?`` take no time."""
    return b"?" in encoded and any(mark in encoded for mark in _MARKS)


def without_secret_addresses(row: Mapping[str, object]) -> dict[str, object]:
    """A copy of *row* whose files have no such addresses."""
    return {name: _without(value) for name, value in row.items() if name not in _SECRET}


def _without(value: object) -> object:
    if isinstance(value, dict):
        return without_secret_addresses(value)
    return [_without(entry) for entry in value] if isinstance(value, list) else value
