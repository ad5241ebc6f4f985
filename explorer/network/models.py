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
        text: the name of a shipped network, or the path of a document or of an ONNX model.
        concat: what becomes of Concat; documents say it themselves.
        shapes: of a model's inputs, where they are to be others than it says.

    Raises:
        InputError: it is none of these, what it refers to is no network, or shapes are given for
            one that has them.
    """
    if shapes and (text in NETWORKS or text.endswith(DOCUMENTS)):
        allowed = f"only ONNX models leave shapes open; those of {text} are known"
        raise InputError("--shape", "", next(iter(shapes)), allowed)
    if text in NETWORKS:
        return shipped(text, concat)
    if text.endswith(DOCUMENTS):
        return document.load(Path(text))
    if text.endswith(".onnx") or is_document(text):
        # An extra, and slow to import.
        from explorer.network.onnx import importing  # noqa: PLC0415

        return importing.load(Path(text), shapes, concat=concat == "terms").network
    allowed = expected(text, NETWORKS, "a document (.yaml, .json), a model (.onnx), or one of")
    raise InputError("network", "", text, allowed)
