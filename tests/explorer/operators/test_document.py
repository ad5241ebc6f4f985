"""Operators as YAML documents: round trips, and an error for everything that can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.operators import constructors as build
from explorer.operators import layer_files, resolve
from explorer.operators.document import dump, parse
from isa.computation import Affine, Operator
from isa.errors import InputError
from isa.schema import parse_affine
from tests.strategies import operators

STRIDED = """\
name: strided
dimensions: {n: 1, oc: 8, oh: 4, ow: 4, ic: 2, kh: 3, kw: 3}
in0: {name: data, shape: [1, 2, 8, 8], index: [n, ic, "oh*2 + kh - 1", -1+2*ow+kw], letters: NCHW}
in1: {name: weight, shape: [8, 2, 3, 3], index: [oc, ic, kh, kw], letters: OIHW}
out: {name: output, shape: [1, 8, 4, 4], index: [n, oc, oh, ow], letters: NCHW}
"""


@given(operators(epilogues=True))
def test_round_trip(operator: Operator) -> None:
    """A dumped operator is read as the same operator."""
    assert parse(dump(operator), "dumped") == operator


def test_dimensions_and_maps(tmp_path: Path) -> None:
    """A document of maps is the same computation as the constructor's."""
    path = tmp_path / "strided.yaml"
    path.write_text(STRIDED, encoding="utf-8")
    operator = resolve(str(path))
    conv = build.conv2d(n=1, c=2, h=8, w=8, k=8, r=3, s=3, pad=1, stride=2)
    assert operator.name == "strided"
    assert operator.kind == "custom"
    assert operator.computation.dims == conv.computation.dims
    assert operator.computation.in0 == conv.computation.in0
    assert operator.computation.in1 == conv.computation.in1
    assert operator.computation.out == conv.computation.out
    assert operator.epilogue == conv.epilogue
    assert operator.constants == conv.constants


def test_short_form() -> None:
    """A kind with its arguments, in YAML's own types or as text, is the constructor's operator."""
    sizes = "n: 1, c: 3, h: 8, w: 8, k: 4, r: 3, s: 3"
    text = f"{{kind: conv2d, {sizes}, pad: [1, 0], stride: 2x1, relu: true}}"
    conv = build.conv2d(n=1, c=3, h=8, w=8, k=4, r=3, s=3, pad=(1, 0), stride=(2, 1), relu=True)
    assert parse(text, "short") == conv
    named = parse(text.replace("{", "{name: stem, "), "short")
    assert (named.name, named.computation) == ("stem", conv.computation)


@given(st.dictionaries(st.sampled_from(["oh", "kh", "x1"]), st.integers(-99, 99)), st.integers())
def test_affine_text(coefficients: dict[str, int], const: int) -> None:
    """An expression is read from what it prints."""
    row = Affine.of(coefficients, const % 1000 - 500)
    assert parse_affine(str(row), ["oh", "kh", "x1"], "test", "row") == row


def test_affine_forms() -> None:
    """Factors stand on either side, names may repeat, spaces do not matter."""
    row = parse_affine(" 2*a+a*3 -  b + 4 - 1", ["a", "b"], "test", "row")
    assert row == Affine.of({"a": 5, "b": -1}, 3)


@pytest.mark.parametrize(
    "text",
    ["", "oh kh", "oh +", "oh * kh", "2 oh", "oh ** 2", "(oh)", "oh/2", "--oh", "1e3", "oh*-2"],
)
def test_affine_errors(text: str) -> None:
    """What is not a sum of terms is refused as a whole."""
    with pytest.raises(InputError, match="sum of terms") as error:
        parse_affine(text, ["oh", "kh"], "test", "row")
    assert error.value.value == text


BIAS = "epilogue: {bias: {name: bias, shape: [8], index: [%s]}}\n"


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("name: strided\n", "", ["name: missing", "required"]),
        ("name: strided", "name: 3", ["name: 3", "string"]),
        ("name: strided", "title: strided", ["name"]),
        ("oc: 8", "oc: -8", ["dimensions.oc: -8", "greater than"]),
        ("oc: 8", "oc: 8.5", ["dimensions.oc: 8.5", "integer"]),
        ("oc: 8", "oc: 2000000", ["dimensions.oc: 2000000", "1048576"]),
        ("oc: 8", "Oc: 8", ["dimensions.Oc", "pattern"]),
        ("oc: 8", "oc: 8, oc: 9", ["'oc' stands twice", "line 2"]),
        ("[1, 8, 4, 4]", "[1, 8, 4]", ["out.index", "as many rows as the shape, 3"]),
        ("-1+2*ow+kw", "2*ox", ["in0.index.3: '2*ox'", "no dimension 'ox'", "oh, ow"]),
        ("-1+2*ow+kw", "ow*kw", ["in0.index.3: 'ow*kw'", "sum of terms"]),
        ("-1+2*ow+kw", "true", ["in0.index.3: True", "integer or", "string"]),
        ("letters: OIHW", "letters: OIHH", ["in1.letters: 'OIHH'", "4 different letters"]),
        ("letters: OIHW", "layout: OIHW", ["in1.layout", "no such key", "shape, index"]),
        ("[n, oc, oh, ow]", "[n, oc, oh, 0]", ["dimensions.ow: 4", "bounds of a tensor"]),
        ("[n, oc, oh, ow]", "[n, oc, 0, oh + ow]", ["out.index", "oh + ow", "must not write one"]),
        ("[8, 2, 3, 3]", "[8, 2, 3, 9]", ["dimensions.kw: 3", "bounds of a tensor"]),
        ("name: strided", "name: strided\nextra: 1", ["extra: 1", "dimensions, in0, in1, out"]),
        ("name: strided", "name: strided\n3: 1", ["3", "quotes"]),
        ("name: strided", "name: [", ["line 3", "well-formed"]),
        ("name: strided", "name: strided\nconstants: [out]", ["constants.0: 'out'", "in1"]),
        ("name: strided", "name: x\nepilogue: {shift: 40}", ["epilogue.shift: 40", "31"]),
        (
            "name: strided",
            "name: x\nepilogue: {bas: 40}",
            ["epilogue.bas", "shift, bias, residual, relu"],
        ),
        ("name: strided", "name: x\nepilogue: {clip: [5, 1]}", ["epilogue.clip", "least"]),
        ("name: strided", "name: x\nepilogue: {bias: {nam: b}}", ["epilogue.bias.name: missing"]),
        ("name: s", BIAS % "kh" + "name: s", ["epilogue.bias.index.0: 'kh'", "n, oc, oh, ow"]),
        ("name: s", BIAS % "oc + 1" + "name: s", ["epilogue.bias.index: 'oc + 1'", "0 to 7"]),
    ],
)  # fmt: skip
def test_errors(old: str, new: str, parts: list[str]) -> None:
    """Each way to spoil a document is one error that names file, field and value."""
    assert old in STRIDED
    text = STRIDED.replace(old, new)
    with pytest.raises(InputError) as error:
        parse(text, "my.yaml")
    assert str(error.value).startswith("my.yaml: ")
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["mapping"]),
        ("- 1", ["mapping"]),
        ("just text", ["just text", "mapping"]),
        ("kind: conv4d", ["kind: 'conv4d'", "conv3d"]),
        ("{kind: gemm, m: 1, n: 2}", ["k: missing"]),
        ("{kind: gemm, m: 1, n: 2, k: 0}", ["k: 0", "1 to"]),
        ("{kind: gemm, m: 1, n: 2, k: true}", ["k: True", "whole number"]),
        ("{kind: gemm, m: 1, n: 2, k: 3, name: 4}", ["name: 4", "string"]),
        ("a: " + "[" * 1500, ["well-formed"]),
        ("a: &a [*a]", ["a"]),
    ],
)
def test_errors_of_the_short_form_and_of_yaml(text: str, parts: list[str]) -> None:
    """What is no document, or a kind with wrong arguments, is an error of the same sort."""
    with pytest.raises(InputError) as error:
        parse(text, "my.yaml")
    for part in ["my.yaml", *parts]:
        assert part in str(error.value)


def test_unreadable_files(tmp_path: Path) -> None:
    """A file that is missing, a directory or binary is named."""
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "missing.yaml", tmp_path, binary):
        with pytest.raises(InputError) as error:
            layer_files.read(path)
        assert error.value.source == str(path)
        assert str(error.value).count("is not allowed") <= 1
