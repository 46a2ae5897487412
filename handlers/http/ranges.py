"""Ranges of bytes. Source: RFC 9110, section 14"""

import re

from handlers.http.errors import HttpError

BYTES = re.compile(r"bytes\s*=\s*(?:(\d{1,18})\s*-\s*(\d{1,18})?|-\s*(\d{1,18}))\s*", re.ASCII | re.IGNORECASE)


def parse_range(header: str | None, size: int) -> range | None:
    """Return the positions that *header* asks for of *size* bytes; None for all: it asks for no range, or several.

    Raises:
        HttpError: 416: there is no such position.
    """
    asked = None if header is None else BYTES.fullmatch(header.strip())
    if asked is None:
        return None
    if asked[3] is not None:
        first, last = max(size - int(asked[3]), 0), size - 1
    else:
        first, last = int(asked[1]), size - 1 if asked[2] is None else min(int(asked[2]), size - 1)
        if asked[2] is not None and int(asked[2]) < first:
            return None
    if first > last:
        raise HttpError(416, f"the file has {size:,} bytes", {"Content-Range": f"bytes */{size}"})
    return range(first, last + 1)
