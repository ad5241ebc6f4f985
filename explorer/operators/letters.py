"""Letters of layouts as other tools write them: ``KCRS`` for ``OIHW``, ``NC`` for ``MK``."""

from __future__ import annotations

_WEIGHTS = {"K": "O", "C": "I", "T": "D", "R": "H", "S": "W"}
"""Of a kernel's dimensions, the letters that cuDNN and Timeloop use, and those of TVM."""
_PRODUCT = {"MK": {"N": "M", "C": "K"}, "NK": {"O": "N", "I": "K"}, "MN": {"N": "M", "C": "N"}}
"""Of a matrix product's data, weight and output, the letters that a dense layer has for them."""


def usual(layout: str, letters: str) -> str:
    """A layout with the letters that a tensor has.

    Args:
        layout: capital letters, and perhaps blocks with small ones: ``KCRS16k16c``.
        letters: the tensor's.
    """
    capitals = {x for x in layout if x.isupper()}
    if capitals <= set(letters):
        return layout
    names = next((n for known, n in _PRODUCT.items() if sorted(known) == sorted(letters)), {})
    if not capitals <= names.keys():
        # A kernel without K is no kernel in these letters: C is then a channel of the data.
        names = _WEIGHTS if "K" in capitals and "K" not in letters else {}
    both = names | {old.lower(): new.lower() for old, new in names.items()}
    return "".join(both.get(x, x) for x in layout)
