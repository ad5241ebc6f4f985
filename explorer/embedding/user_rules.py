"""Rules that a user writes: read before the solver sees them, and looked at when they run away.

A rule can name any file to include and run without end. Files are therefore checked here first,
and grounded and solved in a process with limits (`explorer.preference.limited`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from clingo import ast

from explorer.embedding.control import NEEDED
from isa.errors import InputError
from isa.files import exists, read_text

# What can stand around a directive, in the order in which clingo reads it: block comments, comments
# to the end of the line, and strings.
_TOKEN = re.compile(
    r"%\*.*?\*%|%[^\n]*|"
    r"#include\s*(?P<path>\"(?:[^\"\\\n]|\\.)*\"|<[^>\n]*>)|\"(?:[^\"\\\n]|\\.)*\"",
    re.DOTALL,
)


def check(paths: Sequence[Path]) -> None:
    """Check that rules, and all that they include, are texts in the folder of their file.

    Raises:
        InputError: a file cannot be read or is no text, or includes one of another folder.
    """
    for path in paths:
        seen: set[Path] = set()
        home = path.resolve().parent
        waiting = [path]
        while waiting:
            current = waiting.pop()
            text = read_text(current, NEEDED)
            if "\0" in text:
                raise InputError(str(current), "", "binary data", NEEDED)
            for line, name in _includes(text):
                included = _included(current, line, name, home)
                if included not in seen:
                    seen.add(included)
                    waiting.append(included)


def _includes(text: str) -> Iterator[tuple[int, str]]:
    """The lines on which other files are included, with the directive's argument."""
    for match in _TOKEN.finditer(text):
        if match["path"] is not None:
            yield text.count("\n", 0, match.start()) + 1, match["path"]


def _included(path: Path, line: int, name: str, home: Path) -> Path:
    """The file that a directive means."""
    place = f"line {line}"
    allowed = f"files of {home} can be included, and the folders in it"
    # clingo looks in the current directory first, and knows texts of its own in angle brackets.
    for base in (Path(), path.parent):
        try:
            found = (base / name[1:-1]).resolve()
        except (OSError, RuntimeError, ValueError):  # links in a circle; what cannot be a name
            continue
        if name.startswith("<") or (exists(found) and not found.is_relative_to(home)):
            raise InputError(str(path), place, name, allowed)
        if exists(found):
            return found
    raise InputError(str(path), place, name, f"there is no such file; {allowed}")


def endless(paths: Sequence[Path]) -> tuple[str, str, str] | None:
    """The first rule that may go on for ever: file, line in words, and text.

    That is one whose head holds arithmetic, and depends on itself: ``q(X+1) :- q(X)``. Whether it
    ends is for a condition in its body to say, so it is no error before a limit is reached.
    """
    rules: list[ast.AST] = []
    ast.parse_files([str(path) for path in paths], rules.append, logger=lambda *_: None)
    heads: dict[tuple[str, int], set[tuple[str, int]]] = {}
    found = [rule for rule in rules if rule.ast_type is ast.ASTType.Rule]
    for rule in found:
        body = {s for part in rule.body for s, _ in _atoms(part)}
        for signature, _ in _atoms(rule.head):
            heads.setdefault(signature, set()).update(body)
    for rule in found:
        for signature, arithmetic in _atoms(rule.head):
            if arithmetic and signature in _reached(heads, signature):
                begin = rule.location.begin
                lines = read_text(Path(begin.filename), NEEDED).splitlines()
                return begin.filename, f"line {begin.line}", lines[begin.line - 1].strip()
    return None


def _atoms(node: ast.AST) -> Iterator[tuple[tuple[str, int], bool]]:
    """The predicates in a part of a rule, and whether arithmetic stands in their arguments."""
    if node.ast_type is ast.ASTType.SymbolicAtom:
        symbol = node.symbol
        if symbol.ast_type is ast.ASTType.Function:
            yield (symbol.name, len(symbol.arguments)), any(map(_computes, symbol.arguments))
        return
    for child in _children(node):
        yield from _atoms(child)


def _computes(node: ast.AST) -> bool:
    kinds = (ast.ASTType.BinaryOperation, ast.ASTType.UnaryOperation)
    # A function in a function grows as numbers do: s(X) from X.
    if node.ast_type in kinds or (node.ast_type is ast.ASTType.Function and node.arguments):
        return True
    return any(map(_computes, _children(node)))


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for key in node.child_keys:
        child = getattr(node, key)
        if isinstance(child, ast.AST):
            yield child
        elif child is not None:
            yield from (part for part in child if isinstance(part, ast.AST))


def _reached(
    graph: dict[tuple[str, int], set[tuple[str, int]]], start: tuple[str, int]
) -> set[tuple[str, int]]:
    """What a predicate depends on, directly or not."""
    reached: set[tuple[str, int]] = set()
    waiting = [start]
    while waiting:
        for other in graph.get(waiting.pop(), set()) - reached:
            reached.add(other)
            waiting.append(other)
    return reached
