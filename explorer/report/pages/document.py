"""A page from its parts: markup, style, scripts, Vega, and data."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files

from explorer.ranking.workers import pool

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:"
)
"""Nothing is loaded; Vega compiles its expressions, which needs ``unsafe-eval``."""

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
{style}</style>
{body}
{data}
<script type="module">
{vega}
</script>
<script type="module">
{script}</script>
</html>
"""


def document(title: str, name: str, scripts: tuple[str, ...], data: Mapping[str, object]) -> str:
    """A page that needs nothing but itself.

    Args:
        title: what the window is called.
        name: the file of this package with its body, without suffix.
        scripts: the script files, without suffix, in order; they share one scope.
        data: by the name under which `unpacked` in ``common.js`` finds it, what JSON can say.
    """
    parts = [
        f'<script type="application/octet-stream" id="data-{key}">{packed(value)}</script>'
        for key, value in data.items()
    ]
    return PAGE.format(
        policy=POLICY,
        title=escape(title),
        style=_read("page.css"),
        body=_read(f"{name}.html").rstrip(),
        data="\n".join(parts),
        vega=_vega(),
        script="\n".join(_read(f"{script}.js") for script in scripts),
    )


def packed(value: object) -> str:
    """A value as JSON, compressed (zlib), in base 64."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii")


def _read(name: str) -> str:
    return (files("explorer.report.pages") / name).read_text(encoding="utf-8")


@cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, which puts `vegaEmbed` on the window.

    It is made in a process of its own: that takes seconds in which nothing else of this one could
    run, and Ctrl-C would wait for it.
    """
    with pool(1, __name__) as workers:
        return workers.submit(_bundle).result()


def _bundle() -> str:
    """The script, as it may stand in a page."""
    import vl_convert  # noqa: PLC0415 - slow to import, and only pages need it

    bundle = vl_convert.javascript_bundle(None)  # type: ignore[arg-type]  # its default is untyped
    # Inside a page this would end the script.
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")
