"""The header Link of pages. Source: RFC 8288"""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

MAX_LINK_CHARACTERS = 3072  # a proxy may refuse a head above 4 KiB. Source: nginx.org, proxy_buffer_size


def page_links(page: int, *, more: bool) -> dict[str, str]:
    """The links of a numbered page: relation and parameter. *more*: there are pages after it."""
    links = {"first": "page=1"}
    links |= {"next": f"page={page + 1}"} if more else {}
    return links | ({"prev": f"page={page - 1}"} if page > 1 else {})


def link_header(others: Sequence[tuple[str, str]], links: Mapping[str, str]) -> str:
    """The value of Link: each relation, and the parameter that leads there, with all *others* of the query.

    If that is too long, the first page is left out, which is the easiest to find; if it still is, the value is empty.
    """
    shared = urlencode(others)
    shown = {
        relation: f'<?{parameter}{shared and f"&{shared}"}>; rel="{relation}"' for relation, parameter in links.items()
    }
    if len(value := ", ".join(shown.values())) > MAX_LINK_CHARACTERS:
        value = ", ".join(link for relation, link in shown.items() if relation != "first")
    return value if len(value) <= MAX_LINK_CHARACTERS else ""
