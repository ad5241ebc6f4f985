"""What docs/reference/networks.md tells is complete, and its document is a network."""

from __future__ import annotations

import re
from pathlib import Path

from explorer.cli import GROUPS
from explorer.network.document import NetworkDocument, parse
from explorer.network.shipped import NETWORKS

TEXT = (Path(__file__).parent.parent / "docs" / "reference" / "networks.md").read_text(
    encoding="utf-8"
)
DOCUMENTS = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_documents_are_networks() -> None:
    """Each document of the page is one."""
    assert [parse(text, "docs/reference/networks.md").name for text in DOCUMENTS] == ["two layers"]


def test_everything_is_named() -> None:
    """The page names every shipped network, every command of the group and every key."""
    assert all(f"`{name}`" in TEXT for name in NETWORKS)
    assert all(
        f"`{name}`" in TEXT or f"network {name}" in TEXT for name in GROUPS["network"].commands
    )
    for key in NetworkDocument.model_json_schema()["$defs"]["_NodeDocument"]["properties"]:
        assert re.search(rf"`{key}`|\b{key}:", TEXT), key
