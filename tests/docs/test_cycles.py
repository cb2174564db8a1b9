"""No module imports itself through others, neither at its top nor inside functions; what is imported for types alone
does not run.
"""

import ast
from pathlib import Path

import byorn

ROOT = Path(byorn.__file__).parent


def modules() -> dict[str, Path]:
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = ("byorn", *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: set[str]) -> set[str]:
    tree, found = ast.parse(path.read_text()), set()
    guarded = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    for_types = {inner for node in guarded for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} & known or {node.module} & known
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & known
    return found


def cycles(graph: dict[str, set[str]]) -> set[tuple[str, ...]]:
    """The sets of modules that reach each other."""
    reach: dict[str, set[str]] = {}
    for start in graph:
        seen, todo = set(), list(graph[start])
        while todo:
            if (name := todo.pop()) not in seen:
                seen.add(name)
                todo += graph[name]
        reach[start] = seen
    return {tuple(sorted({a, *(b for b in reach[a] if a in reach[b])})) for a in graph if a in reach[a]}


def test_there_is_no_cycle():
    known = modules()
    found = cycles({name: imports(path, set(known)) - {name} for name, path in known.items()})
    assert not found, found
