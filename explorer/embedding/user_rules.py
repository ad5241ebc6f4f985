"""Rules that a user writes: read before the solver sees them, and looked at when they run away.

A rule can name any file to include and run without end. Files are therefore checked here first,
and grounded and solved in a process with limits (`explorer.preference.limited`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from clingo import ast

from explorer.embedding.control import NEEDED, Rule
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


def in_turn(paths: Sequence[Path]) -> list[tuple[Rule, list[ast.AST]]]:
    """The rules in files, each with the statements that say it, as `control.Watch` needs them.

    Rules that may go on for ever come last. Such a one has arithmetic in its head, and depends on
    itself: ``q(X+1) :- q(X)``. Whether it ends is for a condition in its body to say, so it is no
    error before a limit is reached. Statements that are no rules belong to the first one.
    """
    parsed: list[ast.AST] = []
    for path in paths:  # one by one, as clingo reads the last of several first
        ast.parse_files([str(path)], parsed.append, logger=lambda *_: None)
    # A file may be included by several.
    statements = list({str(statement.location): statement for statement in parsed}.values())
    heads: dict[tuple[str, int], set[tuple[str, int]]] = {}
    for statement in statements:
        if statement.ast_type is ast.ASTType.Rule:
            body = {s for part in statement.body for s, _ in _atoms(part)}
            for signature, _ in _atoms(statement.head):
                heads.setdefault(signature, set()).update(body)
    others: list[ast.AST] = []
    found: list[tuple[Rule, list[ast.AST]]] = []
    program = None  # the part of the program that a rule stands in
    for statement in statements:
        if statement.ast_type is ast.ASTType.Program:
            program = statement
        told = [*([program] if program is not None else []), statement]
        if statement.ast_type in _GROUNDED:
            found.append((_rule(statement, heads), told))
        else:
            others += told
    found.sort(key=lambda step: step[0].endless)
    if found:
        found[0] = (found[0][0], [*others, *found[0][1]])
    return found


_GROUNDED = {
    ast.ASTType.Rule,
    ast.ASTType.Minimize,
    ast.ASTType.ShowTerm,
    ast.ASTType.External,
    ast.ASTType.Heuristic,
    ast.ASTType.Edge,
}
"""Statements of which there is an instance for each way to fill in their variables."""


def _rule(statement: ast.AST, heads: dict[tuple[str, int], set[tuple[str, int]]]) -> Rule:
    """A rule with its first line, and whether it may go on for ever."""
    begin, end = statement.location.begin, statement.location.end
    line = read_text(Path(begin.filename), NEEDED).split("\n")[begin.line - 1].encode()
    text = line[begin.column - 1 : end.column - 1 if end.line == begin.line else None]
    atoms = _atoms(statement.head) if statement.ast_type is ast.ASTType.Rule else ()
    endless = any(arithmetic and s in _reached(heads, s) for s, arithmetic in atoms)
    return Rule(
        begin.filename, f"line {begin.line}", text.decode(errors="replace").strip(), endless
    )


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
