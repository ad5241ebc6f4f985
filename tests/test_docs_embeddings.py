"""The figures of docs/explanation/embeddings.md are true (`test_docs` runs its examples)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from explorer.embedding.digits import Embedding
from explorer.embedding.enumeration import enumerate_embeddings
from explorer.embedding.facts import CLASSES
from explorer.embedding.virtual_loops import nest
from explorer.operators import resolve
from explorer.program.stepwise import arrangements
from isa import intrinsics
from isa.computation import Computation
from isa.config import Config

TEXT = (Path(__file__).parent.parent / "docs" / "explanation" / "embeddings.md").read_text(
    encoding="utf-8"
)
BEST = re.findall(r"^\| `(\S+)` \| (\w+) \| (\d+) \| (\d+) \|$", TEXT, re.MULTILINE)
VTA = intrinsics.load("vta_gemm", Config.default().axes)


def test_every_class_has_a_picture() -> None:
    """There is a section for each class, with a picture of the lanes."""
    for name in ("tile", *CLASSES):
        section = TEXT.partition(f"\n### {name}\n")[2].partition("\n#")[0]
        assert "--lanes" in section, name
        assert "\nport " in section, name


def fewest_steps(operator: Computation, classes: list[str]) -> int:
    """Steps of the embedding that has the fewest."""
    found = enumerate_embeddings(operator, VTA, classes)
    return min(nest(e, operator).steps for e in found)


@pytest.mark.slow
@pytest.mark.parametrize(("text", "name", "steps", "without"), BEST)
def test_a_class_is_the_only_way(text: str, name: str, steps: str, without: str) -> None:
    """Without the class, no embedding has as few steps."""
    operator = resolve(text).computation
    assert fewest_steps(operator, list(CLASSES)) == int(steps)
    assert fewest_steps(operator, [c for c in CLASSES if c != name]) == int(without)
    assert int(steps) < int(without)


def test_the_table_names_the_classes_that_save_steps() -> None:
    """Fused, diagonal and swapped each have an operator."""
    assert {name for _, name, _, _ in BEST} == {"fused", "diagonal", "swapped"}


def repeats(embedding: Embedding, operator: Computation) -> bool:
    """Whether every way to pack the first input holds an element twice."""
    for layouts in arrangements(embedding, operator, VTA):
        (data,) = (layout for layout in layouts if layout.role == "in0")
        index = data.gather()
        held = index[index >= 0]
        if len(np.unique(held)) == len(held):
            return False
    return True


def test_only_skews_repeat_no_input() -> None:
    """Of a one-channel filter's embeddings, those that hold each input once are skewed."""
    operator = resolve("conv2d:n=1,c=1,h=16,w=16,k=1,r=3,s=3").computation
    found = enumerate_embeddings(operator, VTA, tuple(CLASSES))
    single = {e.id: nest(e, operator).steps for e in found if not repeats(e, operator)}
    assert single == {"y=oh~kh-1:14/z=kh:16": 42, "y=ow~kw-1:14/z=kw:16": 42}
    for text in (f"Of the {len(found)} embeddings", *(f"`{name}`" for name in single), "42 steps"):
        assert text in TEXT
