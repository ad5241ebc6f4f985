"""Bad input: what can stand where a value is expected, and what must come of it.

`make fuzz` sets EXPLORER_FUZZ, with which each property is tried on many more examples.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from isa.errors import InputError

THOROUGH = "EXPLORER_FUZZ" in os.environ
MOST = 1000  # characters of a message

NUMBERS = (
    "0", "-1", "²", "\u0661", "1e999", "nan", "inf", "0x10", "1_000", "9" * 10, "9" * 25,
    "9" * 10_000, "-" + "9" * 5_000, "1.5", "", " ", "+1", "1..3", "3..1/0", "0..9999999",
)  # fmt: skip
TEXTS = (
    "", "\0", "a\0b", "\x1b[31mred\x1b[0m", "two\nlines", "\u202egnp", "x" * 100_000, "é" * 300,
    "../../../etc/passwd", "/etc/passwd", "/dev/zero", "/dev/null", "/", ".", "%s%n{}", "${HOME}",
    "'; drop table results; --", "<script>alert(1)</script>", "a=b=c", ",,,", "::", "=", "*",
    "--help", "-", "(" * 500, "[" * 500, "1*" * 200, "2**64**64**64", "gemm:", "gemm:m=4,n=4,k=0",
    "gemm:m=4,n=4,k=4,k=4", "gemm:m=99999999999,n=1,k=1", "random:" + "7" * 10_000, "local:²",
    "y=m:4", "y=m:4/z=k:99999999999", "steps", "steps:0", "max-steps=", "keep-input-layout=Z",
)  # fmt: skip

words = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(TEXTS),
    st.text(max_size=30),
    st.from_regex(r"[a-z0-9:=,./*~%@+\-]{1,30}", fullmatch=True),
)


def budget(few: int, many: int) -> settings:
    """How often a property is tried: in every run of the tests, and by `make fuzz`."""
    return settings(
        max_examples=many if THOROUGH else few,
        suppress_health_check=list(HealthCheck),
        database=None,
    )


@st.composite
def mutants(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """A file's bytes with some of them changed, cut out, doubled, or replaced by hostile ones."""
    data = bytearray(draw(st.sampled_from(originals)))
    chance = random.Random(draw(st.integers(0, 2**32)))
    for _ in range(chance.randint(1, 6)):
        low = chance.randint(0, len(data))
        high = min(len(data), low + chance.choice((0, 1, 1, 2, 8, 64)))
        data[low:high] = _piece(chance, bytes(data[low:high]))
    return bytes(data)


def _piece(chance: random.Random, old: bytes) -> bytes:
    """What to put in place of some bytes."""
    kind = chance.randrange(5)
    if kind == 0:
        return b""
    if kind == 1:
        return chance.randbytes(max(1, len(old)))
    if kind == 2:
        return old * chance.choice((2, 3, 200))
    if kind == 3:
        return chance.choice(NUMBERS).encode()
    return chance.choice((*TEXTS[:20], "{", "}", "[", "]", "null", '"', ",", "&a [*a]")).encode()


def accepts_or_says(work: Callable[[], object]) -> None:
    """Run what reads something: it works, or there is one message, short and on one line."""
    try:
        work()
    except InputError as error:
        check_message(str(error))


def said(error: str) -> list[str]:
    """The lines on standard error but those of progress, which a busy machine has time to write."""
    lines = [line for line in error.splitlines() if line.strip()]
    return [line for line in lines if not re.fullmatch(r".*: (.* of .*, )?\d+ s", line)]


def check_message(text: str) -> None:
    """Raise AssertionError unless a message is one printable line that is not too long."""
    assert text
    assert len(text) <= MOST, len(text)
    assert text.isprintable(), text
