"""Prints figures about the code: ``python .ci/figures.py [ROOT]``.

Files and import graph of the package, lines of code a package, class names in more than one file, banned words in
10,000 words of docstrings and comments, conditional expressions and long lines in 1,000 lines.  ROOT is another
checkout to compare with.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

#: With brackets, so that this file does not contain what it looks for.
BANNED = (
    r"\b(who[e]ver|some[b]ody|no[b]ody|a[n]ew|a [p]erson|is [m]eant|at a [d]istance"
    r"|(bring(s|ing)?|brought) [h]ome|how [m]anieth|told [f]rom)\b"
)
GENERATED = "# Generated "
WIDTH = 120


def docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Give the docstrings of a module as nodes of its tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                yield first.value


def comments(text: str) -> list[str]:
    """Return the comments of a module."""
    return [
        token.string for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT
    ]


def code_lines(text: str, tree: ast.AST) -> int:
    """Count the lines that hold code: no blank lines, comments or docstrings."""
    prose = {line for node in docstrings(tree) for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - prose)


def module_name(path: Path, root: Path) -> str:
    """Return the dotted name of a module."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST, modules: Iterable[str]) -> set[str]:
    """Return the modules of the package that a module imports, at any depth of its code."""
    known = set(modules)
    found = set()
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {holder for name in names if (holder := _holder(name, known))}
    return found


def _holder(name: str, known: set[str]) -> str:
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def strong_components(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the cycles of a graph: sets of nodes that reach each other (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component: set[str] = set()
            while node not in component:
                component.add(stack.pop())
            found.append(component)

    for node in graph:
        if node not in index:
            visit(node)
    return [component for component in found if len(component) > 1]


def levels(graph: dict[str, set[str]]) -> int:
    """Return the number of levels of a graph without cycles."""
    heights: dict[str, int] = {}

    def height(node: str, above: frozenset[str] = frozenset()) -> int:
        if node not in heights:
            below = [height(other, above | {node}) for other in graph[node] if other not in above and other != node]
            heights[node] = 1 + max(below, default=0)
        return heights[node]

    return max(map(height, graph))


def package(name: str) -> str:
    """Return the package that a module is in."""
    return name.split(".")[1] if "." in name else "__init__"


def print_imports(trees: dict[str, ast.Module]) -> None:
    """Print levels, arrows and cycles of the import graph."""
    modules = {name: imported(tree, trees) - {name, "loops_nb"} for name, tree in trees.items()}
    packages: dict[str, set[str]] = {package(name): set() for name in modules}
    for name, others in modules.items():
        packages[package(name)] |= {package(other) for other in others} - {package(name)}
    print(f"top-level entries: {len(packages)}")
    print(f"import graph of packages: {levels(packages)} levels, {sum(map(len, packages.values()))} arrows")
    print(f"cycles of packages: {strong_components(packages) or 'none'}")
    cycles = strong_components(modules)
    print(f"cycles of modules: {len(cycles)}, of {', '.join(str(len(cycle)) for cycle in cycles) or 'no'} modules")
    for cycle in cycles:
        print(f"  {' '.join(sorted(cycle))}"[:200])


def print_lines(texts: dict[str, str], trees: dict[str, ast.Module]) -> None:
    """Print the lines of code a package."""
    counted: Counter[str] = Counter()
    for name, text in texts.items():
        counted["(generated)" if text.startswith(GENERATED) else package(name)] += code_lines(text, trees[name])
    generated = counted["(generated)"]
    print(f"code lines without docstrings and comments: {sum(counted.values()) - generated}, and {generated} generated")
    for name, lines in counted.most_common():
        print(f"  {name:14} {lines:6}")


def print_words(texts: dict[str, str], trees: dict[str, ast.Module]) -> None:
    """Print class names in several files, banned words, conditional expressions and long lines."""
    places: dict[str, set[str]] = defaultdict(set)
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not texts[name].startswith(GENERATED):
                places[node.name].add(name)
    twice = sorted(name for name, where in places.items() if len(where) > 1)
    print(f"class names in more than one file: {len(twice)} {' '.join(twice)}"[:400])
    prose = [comment for text in texts.values() for comment in comments(text)]
    prose += [str(node.value) for tree in trees.values() for node in docstrings(tree)]
    words = len(re.findall(r"[A-Za-z]+", " ".join(prose)))
    banned = len(re.findall(BANNED, " ".join(prose), re.IGNORECASE))
    print(f"banned words: {banned} in {words} words, {banned / words * 10_000:.1f} in 10,000")
    lines = [line for text in texts.values() for line in text.splitlines()]
    conditional = sum(isinstance(node, ast.IfExp) for tree in trees.values() for node in ast.walk(tree))
    long = sum(len(line) > WIDTH for line in lines)
    print(f"lines: {len(lines)}, conditional expressions in 1,000: {conditional / len(lines) * 1000:.1f}", end=", ")
    print(f"lines over {WIDTH} characters in 1,000: {long / len(lines) * 1000:.1f}")


def main() -> int:
    """Print the figures."""
    sys.setrecursionlimit(10_000)
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    paths = sorted(path for path in (root / "loops_nb").rglob("*.py") if "static" not in path.parts)
    texts = {module_name(path, root): path.read_text("utf-8") for path in paths}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    print(f"files: {len(paths)}")
    print_imports(trees)
    print_lines(texts, trees)
    print_words(texts, trees)
    return 0


if __name__ == "__main__":
    sys.exit(main())
