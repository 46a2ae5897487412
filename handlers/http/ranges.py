"""Ranges of bytes. Source: RFC 9110, section 14"""

import re

from handlers.http.errors import HttpError

RECEIVED = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII | re.IGNORECASE)
NONE_OF = re.compile(r"bytes \*/(\d{1,18})", re.ASCII | re.IGNORECASE)
NOTHING = "bytes=-0"  # never satisfiable
BYTES = re.compile(r"bytes\s*=\s*(?:(\d{1,18})\s*-\s*(\d{1,18})?|-\s*(\d{1,18}))\s*", re.ASCII | re.IGNORECASE)


def single_range(header: str | None) -> str | None:
    """Return *header* in its plain form if it asks for one range, of a content whose size is not known yet."""
    asked = _match(header)
    if asked is None:
        return None
    first, last, suffix = ("" if group is None else str(int(group)) for group in asked.groups())
    return f"bytes={first}-{last}{suffix}"


def parse_content_range(header: str) -> tuple[range, int] | None:
    """Return the positions that a response has, and the size of the whole; None if *header* does not tell."""
    received = RECEIVED.fullmatch(header.strip())
    if received is None:
        return None
    first, last, size = map(int, received.groups())
    return (range(first, last + 1), size) if first <= last < size else None


def parse_size(header: str) -> int | None:
    """Return the size of the whole, from the Content-Range of a 416; None if *header* does not tell."""
    none_of = NONE_OF.fullmatch(header.strip())
    return None if none_of is None else int(none_of[1])


def parse_range(header: str | None, size: int) -> range | None:
    """Return the positions that *header* asks for of *size* bytes; None for all: it asks for no range, or several.

    Raises:
        HttpError: 416: there is no such position.
    """
    positions = positions_of(header, size)
    if positions is not None and not positions:
        raise HttpError(416, f"the file has {size:,} bytes", {"Content-Range": f"bytes */{size}"})
    return positions


def positions_of(header: str | None, size: int) -> range | None:
    """As `parse_range`; empty if there is no such position."""
    asked = _match(header)
    if asked is None:
        return None
    if asked[3] is not None:
        return range(max(size - int(asked[3]), 0), size)
    return range(int(asked[1]), size if asked[2] is None else min(int(asked[2]) + 1, size))


def _match(header: str | None) -> re.Match[str] | None:
    """The parts of *header* if it asks for one range."""
    asked = None if header is None else BYTES.fullmatch(header.strip())
    is_reversed = asked is not None and asked[1] and asked[2] and int(asked[2]) < int(asked[1])
    return None if is_reversed else asked
