"""What a user calls a model: a shipped network's name, a document, or an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from explorer.network import document
from explorer.network.builder import Concat
from explorer.network.graph import Network
from explorer.network.shipped import NETWORKS, shipped
from explorer.operators.kinds import expected
from isa.errors import InputError
from isa.schema import is_document

DOCUMENTS = (".yaml", ".yml", ".json")


def resolve(
    text: str, concat: Concat = "terms", shapes: Mapping[str, tuple[int, ...]] | None = None
) -> Network:
    """The network that a command line argument means.

    Args:
        text: the name of a shipped network, or the path of a document.
        concat: what becomes of Concat; documents say it themselves.
        shapes: of a model's inputs, where they are to be others than it says.

    Raises:
        InputError: it is neither, or what it refers to is no network.
    """
    if text in NETWORKS:
        return shipped(text, concat)
    if text.endswith(DOCUMENTS) or is_document(text):
        return document.load(Path(text))
    allowed = expected(text, NETWORKS, "a document (.yaml, .json), or one of")
    raise InputError("network", "", text, allowed)
