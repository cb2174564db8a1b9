"""What decides a result, as its file records it, and whether an experiment still asks for that. No torch here."""

import json
from dataclasses import asdict

from byorn.bench.spec import Cell, Group
from byorn.pipeline.settings.defenses import FLAGGING, SAMPLING
from byorn.runs.folder import flat


def plain(settings: Group | Cell) -> dict[str, object]:
    """Everything that decides a result, as JSON gives it back; what is left at its default of None is not in it."""
    content: dict[str, object] = json.loads(json.dumps(asdict(settings)))
    return without_none(content)


def without_none(content: dict[str, object]) -> dict[str, object]:
    """So that results stay valid when a setting is added."""
    kept = {key: value for key, value in content.items() if value is not None}
    return {key: without_none(value) if isinstance(value, dict) else value for key, value in kept.items()}


def differences(before: dict[str, object], cell: Cell) -> list[str]:
    """What a result's record of its cell says otherwise than a cell, of what its defense reads: another p does not
    change plain fine-tuning. A line each, by name.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is no record of a cell.
    """
    old, new = _read(without_none(before)), _read(plain(cell))
    if not new[CONVENTION]:  # the objective's, which may be a plugin's
        old[CONVENTION] = new[CONVENTION]
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return [f"made with {name}={old.get(name)!r}, not {new.get(name)!r}" for name in names]


CONVENTION = "group.attack.convention"


def _read(settings: dict[str, object]) -> dict[str, object]:
    unread = {"rule": FLAGGING, "percentile": FLAGGING, "ema_decay": SAMPLING}
    return {
        name: value
        for name, value in flat(settings).items()
        if settings["defense"] in unread.get(name, (settings["defense"],))
    }
