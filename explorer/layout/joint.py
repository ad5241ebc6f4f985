"""Several terms in one name space: the dimensions of the output are called as in the first term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from explorer.embedding.digits import Embedding
from explorer.embedding.joint import Joint
from isa.computation import Affine, Computation, Tensor


def common(joint: Joint, terms: Sequence[Computation]) -> list[tuple[Embedding, Computation]]:
    """Each term with its embedding: outputs under the first one's names, reductions apart."""
    first, used = terms[0], set(terms[0].extents)
    found = [(joint.terms[0], first)]
    for number, (embedding, term) in enumerate(
        zip(joint.terms[1:], terms[1:], strict=True), start=2
    ):
        image = dict(zip(term.parallel, first.parallel, strict=True))
        for name in term.reductions:
            image[name] = name
            while image[name] in used:
                image[name] += f"_{number}"
            used.add(image[name])
        found.append((_embedding(embedding, image), _computation(term, image)))
    return found


def _embedding(embedding: Embedding, image: Mapping[str, str]) -> Embedding:
    digits = (
        replace(
            digit,
            dims=tuple(image[name] for name in digit.dims),
            partner=digit.partner and image[digit.partner],
        )
        for digit in embedding.digits
    )
    order = tuple(image[name] for name in embedding.order)
    return replace(embedding, digits=tuple(digits), order=order)


def _computation(term: Computation, image: Mapping[str, str]) -> Computation:
    return replace(
        term,
        dims=tuple(replace(dim, name=image[dim.name]) for dim in term.dims),
        in0=_tensor(term.in0, image),
        in1=_tensor(term.in1, image),
        out=_tensor(term.out, image),
    )


def _tensor(tensor: Tensor, image: Mapping[str, str]) -> Tensor:
    rows = (Affine.of({image[n]: c for n, c in row.terms}, row.const) for row in tensor.index)
    return replace(tensor, index=tuple(rows))
