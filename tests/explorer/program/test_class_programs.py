"""Every class of embeddings, and every mix that occurs, as a VTA program."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import strategies as st

from explorer.embedding.digits import Embedding
from explorer.embedding.enumeration import enumerate_embeddings
from explorer.embedding.facts import CLASSES
from explorer.program import verification
from explorer.ranking import explore
from isa.computation import Operator
from isa.config import Config
from simulator.lint import lint
from tests import seeded
from tests.strategies import configs, operators

SEEDS, EXAMPLES = (1, 3, 4, 5), 63  # with each of these, every class is met often enough


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_every_mix_of_classes_is_exact(seed: int) -> None:
    """Of all mixes of classes that an operator admits, some drawn ones compute it as programs."""
    seen: Counter[str] = Counter()
    mixes: set[tuple[str, ...]] = set()

    def run(operator: Operator, config: Config, data: st.DataObject) -> None:
        intrinsic = explore.gemm_intrinsic(config)
        kinds: dict[tuple[str, ...], list[Embedding]] = {}
        for embedding in enumerate_embeddings(operator.computation, intrinsic, tuple(CLASSES)):
            kinds.setdefault(embedding.classes, []).append(embedding)
        # Mixes are drawn first: plain ones have by far the most embeddings.
        chosen = st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=4, unique=True)
        for mix in data.draw(chosen):
            embedding = data.draw(st.sampled_from(kinds[mix]))
            evaluation = explore.evaluate(operator, config, embedding, effort=1)
            if evaluation.scheduled is not None:
                verdict = verification.verify(evaluation.code, verification.random_data(operator))
                assert verdict.exact, embedding.id
                assert not lint(evaluation.code.program), embedding.id
                seen.update(mix)
                mixes.add(mix)

    seeded.run(run, seed, EXAMPLES, operators(5, epilogues=True), configs(), st.data())
    print(f"{len(mixes)} mixes: {dict(seen)}")
    assert len(mixes) > 20
    assert seen["tile"]
    assert all(seen[name] >= 5 for name in CLASSES if name != "padded")
