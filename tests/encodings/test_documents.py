"""Encodings are documents: headers and the reference page name the predicates that occur."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from clingo import ast

from explorer.embedding.rule_files import encoding

FOLDER = encoding("domain.lp").parent
FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.lp"))
FIELDS = ("Purpose", "Input predicates", "Used predicates", "Output predicates")
Signatures = set[str]


@dataclass
class Occurring:
    """The predicates of a file, as ``name/arity``: in heads, elsewhere, and in directives."""

    heads: Signatures = field(default_factory=set)
    rest: Signatures = field(default_factory=set)
    shown: Signatures = field(default_factory=set)
    declared: Signatures = field(default_factory=set)

    @property
    def foreign(self) -> Signatures:
        """What other files define."""
        return self.rest - self.heads


class _Atoms(ast.Transformer):
    """Collects the signatures of the atoms that it visits."""

    def __init__(self, into: Signatures) -> None:
        self.into = into

    def visit_SymbolicAtom(self, node: ast.AST) -> ast.AST:  # noqa: N802 - clingo's name
        """Note an atom, or each of a pool."""
        symbol = node.symbol
        for term in symbol.arguments if symbol.ast_type == ast.ASTType.Pool else [symbol]:
            self.into.add(f"{term.name}/{len(term.arguments)}")
        return node


@cache
def occurring(name: str) -> Occurring:
    """What a file's statements name; what it includes is left out."""
    found = Occurring()
    heads, rest = _Atoms(found.heads), _Atoms(found.rest)

    def statement(node: ast.AST) -> None:
        if node.ast_type == ast.ASTType.Rule:
            choices = node.head.ast_type == ast.ASTType.Aggregate
            for element in node.head.elements if choices else ():
                heads.visit(element.literal)
                rest.visit_sequence(element.condition)
            if not choices:
                heads.visit(node.head)
            rest.visit_sequence(node.body)
        elif node.ast_type == ast.ASTType.ShowSignature:
            found.shown.add(f"{node.name}/{node.arity}")
        elif node.ast_type == ast.ASTType.Defined:
            found.declared.add(f"{node.name}/{node.arity}")
        else:
            rest.visit(node)

    text = (FOLDER / name).read_text(encoding="utf-8")
    ast.parse_string(re.sub(r"#include[^\n]*", "", text), statement)
    return found


@cache
def header(name: str) -> dict[str, str]:
    """The fields that a file starts with."""
    fields: dict[str, str] = {}
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        if start := re.fullmatch(r"% ([A-Z][a-z ]+):  +(.*)", line):
            fields[start[1]] = start[2]
        elif fields and (more := re.fullmatch(r"%  {18,}(.*)", line)):
            fields[list(fields)[-1]] += f" {more[1]}"
        else:
            break
    return fields


def named(text: str) -> Signatures:
    """The signatures in a text: ``name/2``, or ``name(First, Second)``."""
    flat = re.sub(r"([a-z_]\w*)\(([^()]*)\)", lambda m: f"{m[1]}/{m[2].count(',') + 1}", text)
    return set(re.findall(r"\b[a-z]\w*/[0-9]\b", flat))


def inputs() -> Signatures:
    """What an instance may hold."""
    return occurring("domain.lp").declared


@pytest.mark.parametrize("name", FILES)
def test_headers(name: str) -> None:
    """A file says what it is for; one with rules also what it takes, uses and gives."""
    fields = header(name)
    bare = name.startswith(("entries", "show"))
    assert set(fields) >= ({"Purpose"} if bare else set(FIELDS))
    assert set(fields) <= set(FIELDS)
    assert list(fields) == [f for f in FIELDS if f in fields]


@pytest.mark.parametrize("name", FILES)
def test_headers_agree_with_the_rules(name: str) -> None:
    """What a header names occurs, and no predicate of another file is used unnamed."""
    found, fields = occurring(name), header(name)
    taken = named(fields.get("Input predicates", "")) | named(fields.get("Used predicates", ""))
    given = named(fields.get("Output predicates", ""))
    assert found.foreign - inputs() <= taken | inputs(), "used, but not in the header"
    assert taken <= found.rest | found.shown, "in the header, but not used"
    assert given <= found.heads | found.shown, "in the header, but not defined"
    assert found.shown <= given


@pytest.mark.parametrize("name", FILES)
def test_used_predicates_are_where_the_header_says(name: str) -> None:
    """What a header ascribes to another file is defined by a rule of that file."""
    for predicates, sources in re.findall(
        r"((?:\w+/\d(?: \([^)]*\))?(?:, )?)+) of ([\w-]+\.lp(?: and [\w-]+\.lp)*)",
        header(name).get("Used predicates", ""),
    ):
        defined = set[str]().union(*(occurring(file).heads for file in sources.split(" and ")))
        assert named(predicates) <= defined


def test_named_files_exist(root: Path) -> None:
    """A file that an encoding or a page names is there: none has been renamed alone."""
    for path in (*FOLDER.rglob("*.lp"), root / "CONTRIBUTING.md", *(root / "docs").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        mentioned = set(re.findall(r"[\w/.-]*[\w-]+\.lp\b", text))
        shown = set(re.findall(r'title="([^"]+)"', text))  # whole, on the page itself
        places = (FOLDER, path.parent, root, root / "docs")
        for name in mentioned - shown:
            assert any((place / name).is_file() for place in places), f"{path}: {name}"


def page(root: Path) -> dict[str, dict[str, Signatures]]:
    """For each file on the reference page, the predicates of each list."""
    text = (root / "docs" / "reference" / "encodings.md").read_text(encoding="utf-8")
    sections = re.split(r"^### `(.+)`$", text, flags=re.MULTILINE)[1:]
    return {
        name: {m[1]: named(m[2]) for m in re.finditer(r"^- (\w+): (.*)$", body, re.MULTILINE)}
        for name, body in zip(sections[::2], sections[1::2], strict=True)
    }


def lists(name: str) -> dict[str, Signatures]:
    """What the page has to say of a file, without empty lists."""
    found = occurring(name)
    every = {
        "input": found.foreign & inputs() if name != "domain.lp" else inputs(),
        "used": found.foreign - inputs(),
        "defined": found.heads,
        "shown": found.shown,
    }
    return {label: signatures for label, signatures in every.items() if signatures}


def test_the_page_lists_all_predicates(root: Path) -> None:
    """The reference page has every file, and of each exactly the predicates that occur."""
    assert page(root) == {name: lists(name) for name in FILES}
