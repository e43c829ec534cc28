"""The pages of the sandbox issuer."""

from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import urlencode

from starlette.responses import HTMLResponse

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 15vh auto; max-width: 24rem;
  padding: 0 1rem }}
h1 {{ font-size: 1.25rem }}
ul {{ list-style: none; padding: 0 }}
li a {{ border: 1px solid; border-radius: 6px; display: block; margin: .5rem 0;
  padding: .75rem 1rem; text-decoration: none }}
small {{ display: block }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{content}
</main>
</body>
</html>
"""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
}


def authorize_page(
    query: Sequence[tuple[str, str]], people: Mapping[str, tuple[str, str]]
) -> HTMLResponse:
    """Return the page on which one of `people` (name and hint by subject) is chosen.

    Each link repeats the authorization request `query`.
    """

    def link(subject: str) -> str:
        return escape(f"authorize?{urlencode([*query, ('person', subject)])}")

    items = (
        f'<li><a href="{link(subject)}">{escape(name)} <small>{escape(hint)}</small></a></li>'
        for subject, (name, hint) in people.items()
    )
    content = (
        "<p>This issuer is part of the sandbox. These people are invented and need no password.</p>"
        f'<ul>{"".join(items)}</ul><p><a href="{link("")}">Cancel</a></p>'
    )
    return _page("Sign in as", content)


def message_page(message: str, *, status: int = 200) -> HTMLResponse:
    """Return a page that says one thing."""
    return _page(message, "<p>This issuer is part of the sandbox.</p>", status=status)


def _page(title: str, content: str, *, status: int = 200) -> HTMLResponse:
    return HTMLResponse(
        _PAGE.format(title=escape(title), content=content), status_code=status, headers=_HEADERS
    )
