"""The HTML pages of the sandbox: authorization, and the error pages of a broken portal."""

from html import escape

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 32em; margin: 4em auto; padding: 0 1em }}
button {{ font: inherit; padding: .6em 2em }}</style></head>
<body><h1>{title}</h1>{content}</body></html>
"""


def allow_page(client_id: str, state: str) -> str:
    """The page that asks a person to allow the application. Its button posts to the same address."""
    content = (
        f"<p>The application <b>{escape(client_id)}</b> asks for access to this sandbox portal.</p>"
        '<form method="post">'
        f'<input type="hidden" name="client_id" value="{escape(client_id)}">'
        f'<input type="hidden" name="state" value="{escape(state)}">'
        "<button>Allow</button></form>"
    )
    return _PAGE.format(title="Sandbox portal", content=content)


def error_page(text: str) -> str:
    """The page of an address outside REST that refuses its visitor."""
    return _PAGE.format(title=escape(text), content="")


REFUSED = _PAGE.format(title="Sandbox portal", content="<p>This application is not installed here.</p>")
MAINTENANCE = _PAGE.format(title="Maintenance", content="<p>The portal will be back soon.</p>")
CRASHED = _PAGE.format(title="500 Internal Server Error", content="<p>The portal has crashed.</p>")
BAD_GATEWAY = _PAGE.format(title="502 Bad Gateway", content="<p>The portal behind this server does not answer.</p>")
