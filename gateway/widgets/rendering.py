"""Widgets as JSON, in the form of amoCRM's API. Source: contract/amocrm-widgets.md, section 3"""

from collections.abc import Iterable, Mapping

import orjson

from storage.widgets import Installation, ListedWidget

WIDGETS_PATH = "/api/v4/widgets"


def widget_address(origin: str, code: str) -> str:
    """Return the absolute address of the widget *code*."""
    return f"{origin}{WIDGETS_PATH}/{code}"


def render_widget(origin: str, widget: ListedWidget, settings: Mapping[str, object] | None = None) -> bytes:
    """Return a widget as an account has it, with the *settings* of its installation if they are given."""
    shown = b"" if settings is None else b',"settings":' + orjson.dumps(settings)
    return b'{"id":%d,%b,%b%b,"_links":{"self":{"href":%b}}}' % (
        widget.widget_id,
        widget.head,
        _state(widget.installation),
        shown,
        orjson.dumps(widget_address(origin, widget.code)),
    )


def render_page(origin: str, widgets: Iterable[ListedWidget], *, page: int, limit: int, more: bool) -> bytes:
    """Return a page of widgets, with the address of the next one if there are *more*."""
    links = {"self": _page_link(origin, page, limit)}
    if more:
        links["next"] = _page_link(origin, page + 1, limit)
    items = b",".join([render_widget(origin, widget) for widget in widgets])
    return b'{"_page":%d,"_links":%b,"_embedded":{"widgets":[%b]}}' % (page, orjson.dumps(links), items)


def _page_link(origin: str, page: int, limit: int) -> dict[str, str]:
    return {"href": f"{origin}{WIDGETS_PATH}?limit={limit}&page={page}"}


def _state(installation: Installation | None) -> bytes:
    if installation is None or not installation.active:
        return b'"is_active_in_account":false,"pipeline_id":null'
    pipeline = b"null" if installation.pipeline_id is None else b"%d" % installation.pipeline_id
    missing = b',"missing_settings":' + orjson.dumps(installation.missing) if installation.missing else b""
    return b'"is_active_in_account":true,"pipeline_id":%b%b' % (pipeline, missing)
