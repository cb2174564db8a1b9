"""A user's own attacks, defenses, metrics and tasks: Python files that write into byorn's registries.

    from byorn.evaluation.registry import METRICS
    METRICS["mean_length"] = mean_length

A plugin is code: it runs with the rights of whoever names it. It adds names; one that is there already is never
replaced.
"""

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from byorn.errors import ConfigError
from byorn.runs.narrate import say

RECORD = "plugins.json"


@dataclass(frozen=True)
class Registry:
    """Where entries of one kind go: name -> entry, and what an entry has to be."""

    kind: str
    entries: dict[str, object]
    wanted: str
    fits: Callable[[str, object], bool]


@dataclass(frozen=True)
class Plugin:
    """A loaded file: the SHA-256 of the text that ran, and (kind, name) of what it added."""

    digest: str
    module: str
    added: tuple[tuple[str, str], ...]


_loaded: dict[Path, Plugin] = {}


def load_plugins(paths: Iterable[str | Path]) -> dict[str, str]:
    """Run Python files, so that what they register is known by name in this process; a file is run once, and again when
    its text has changed. Processes that are started anew have to call this themselves.

    Returns:
        File name -> SHA-256 of its bytes, which is what a result records.

    Raises:
        ConfigError: A file is missing, no Python, or fails; it registers a name that is taken or an entry that does not
            fit; or two files have the same name.
    """
    found: dict[str, tuple[Path, str]] = {}
    for given in paths:
        path = Path(given).resolve()
        if found.get(path.name, (path,))[0] != path:
            raise ConfigError(
                f"plugin {given}: another one is called {path.name} too; results could not tell them apart"
            )
        source = _read(path, given)
        digest = hashlib.sha256(source).hexdigest()
        if path not in _loaded or _loaded[path].digest != digest:
            unload_plugins([path])
            _loaded[path] = _load(path, source, digest)
            say(f"plugin {given}: {_summary(_loaded[path])}")
        found[path.name] = (path, digest)
    return {name: digest for name, (_, digest) in found.items()}


def unload_plugins(paths: Iterable[str | Path] | None = None) -> None:
    """Take the entries of these files, or of all, out of the registries again: for tests and notebooks."""
    for path in list(_loaded) if paths is None else [Path(path).resolve() for path in paths]:
        if plugin := _loaded.pop(path, None):
            entries = {registry.kind: registry.entries for registry in registries()}
            for kind, name in plugin.added:
                entries[kind].pop(name, None)
            sys.modules.pop(plugin.module, None)


def record_plugins(folder: Path, digests: Mapping[str, str]) -> None:
    """`plugins.json` of a run folder: file name -> SHA-256; nothing where there is no plugin."""
    from byorn.runs.folder import write_json

    if digests:
        write_json(folder / RECORD, dict(digests))


def _read(path: Path, given: str | Path) -> bytes:
    if path.suffix != ".py":
        raise ConfigError(f"plugin {given}: not a Python file; its name must end in .py")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"plugin {given}: {error.strerror or error}; give the path of a Python file") from error


def _load(path: Path, source: bytes, digest: str) -> Plugin:
    """Run a file, and say what it added; after an error the registries are as they were."""
    before = [(registry, dict(registry.entries)) for registry in registries()]
    module = _module(path)
    sys.modules[module.__name__] = module  # dataclasses and pickle look it up there
    try:
        _run(source, path, module)
        for registry, earlier in before:
            _check(registry, earlier, path)
    except BaseException:
        for registry, earlier in before:
            registry.entries.clear()
            registry.entries.update(earlier)
        sys.modules.pop(module.__name__, None)
        raise
    added = [(registry.kind, name) for registry, earlier in before for name in registry.entries if name not in earlier]
    return Plugin(digest, module.__name__, tuple(added))


def _module(path: Path) -> ModuleType:
    """An empty module; its name depends on the path alone, so that another process finds pickled objects by it."""
    name = f"byorn_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the name ends in .py
    return importlib.util.module_from_spec(spec)


def _run(source: bytes, path: Path, module: ModuleType) -> None:
    # Not through the module's loader, which might run a cached file: what was hashed is what runs.
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except SyntaxError as error:
        raise ConfigError(f"plugin {path.name}, line {error.lineno or 1}: no valid Python: {error.msg}") from error
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f", line {lines[-1]}" if lines else ""
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ConfigError(f"plugin {path.name}{where}: {what}") from error


def _check(registry: Registry, earlier: Mapping[str, object], path: Path) -> None:
    for name, entry in earlier.items():
        if registry.entries.get(name) is not entry:
            raise ConfigError(
                f"plugin {path.name}: {registry.kind} {name!r} is taken, by {_owner(registry.kind, name)}; choose "
                "another name"
            )
    for name, entry in registry.entries.items():
        if name not in earlier and not registry.fits(name, entry):
            raise ConfigError(f"plugin {path.name}: {registry.kind} {name!r} is not {registry.wanted}")


def _owner(kind: str, name: str) -> str:
    return next((path.name for path, plugin in _loaded.items() if (kind, name) in plugin.added), "byorn itself")


def _summary(plugin: Plugin) -> str:
    return (
        ", ".join(f"{kind} {name}" for kind, name in plugin.added)
        or "it ran; it adds no attack, defense, metric or task"
    )


def registries() -> list[Registry]:
    """Everywhere that a plugin may write. The places are named and not imported above, since they lie in higher
    layers than those that load plugins.
    """
    from importlib import import_module

    def entries(place: str, name: str) -> dict[str, object]:
        found: dict[str, object] = getattr(import_module(place), name)
        return found

    def instance_of(place: str, name: str) -> Callable[[str, object], bool]:
        kind = getattr(import_module(place), name)
        return lambda _, entry: isinstance(entry, kind)

    trigger = import_module("byorn.attacks.trigger").Trigger

    def is_trigger(name: str, entry: object) -> bool:
        if not (isinstance(entry, type) and issubclass(entry, trigger) and getattr(entry, "name", None) == name):
            return False
        kind: Any = entry
        if kind.mark_image is not trigger.mark_image:
            return kind.needs_image is not False
        return kind.mark_text is not trigger.mark_text

    def is_function(name: str, entry: object) -> bool:
        return callable(entry)

    objective = instance_of("byorn.attacks.objective", "Objective")
    convention = instance_of("byorn.evaluation.asr", "Convention")
    return [
        Registry(
            "attack",
            entries("byorn.attacks", "ATTACKS"),
            "a subclass of Trigger whose `name` says the same, with a mark_image (and needs_image = True) or a "
            "mark_text of its own",
            is_trigger,
        ),
        Registry("objective", entries("byorn.attacks", "OBJECTIVES"), "an Objective", objective),
        Registry("convention", entries("byorn.evaluation.asr", "CONVENTIONS"), "a Convention", convention),
        Registry("defense", entries("byorn.defenses", "DEFENSES"), "a function", is_function),
        Registry("metric", entries("byorn.evaluation.registry", "METRICS"), "a function", is_function),
        Registry("task", entries("byorn.bench.tasks", "TASKS"), "a function", is_function),
    ]
