"""`byorn simulate`: what can this scan see? Known attacks are planted in a copy of its own rows, one at a time, and
found again or not.

    out/simulation.json          what was planted, and what of it was seen (see `byorn.report.simulation`)
    out/ATTACK/data/             the planted rows with their manifest; the data set itself is never touched
    out/ATTACK/scores.parquet    their scores
    out/ATTACK/canaries.jsonl    one line for each planted row: its number, key and score, and whether it is flagged

The paper's score of a row does not depend on other rows, so only what was planted is scored; the other rows keep the
scores of the scan. Evidence and contrast do, so they are computed anew. The rule of the scan is then applied to all
rows, and the report's search for groups goes over them.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from byorn.attacks.known import KnownAttack, known_attacks
from byorn.attacks.manifest import Manifest, read_manifest
from byorn.attacks.plant import plant
from byorn.data.fingerprint import fingerprint
from byorn.data.load import load_rows
from byorn.data.row import Row
from byorn.data.spec import DataSpec
from byorn.errors import ConfigError, DataError
from byorn.evaluation.canaries import sight
from byorn.flagging.rules import flag
from byorn.flagging.settings import FlagSettings
from byorn.models.inputs import Inputs, training_rows
from byorn.models.length import context_length, split_overlong
from byorn.models.load import load_config, load_spec
from byorn.models.spec import ModelSpec
from byorn.models.template import special_tokens
from byorn.pipeline.scanned import Scanned, open_scanned, require_scanned
from byorn.pipeline.scores import add_column, score_inputs
from byorn.pipeline.settings import SimulateSpec
from byorn.report.clusters import Cluster, find_clusters
from byorn.report.run import Run
from byorn.report.simulation import FILE, Named, Simulated, Simulation, identity_of
from byorn.runs.atomic import atomic_path
from byorn.runs.folder import (
    holds_other_than,
    make_folder,
    read_config,
    same_config,
    write_config,
    write_environment,
    write_json,
)
from byorn.runs.identity import require_same
from byorn.runs.narrate import say
from byorn.runs.stage import finished
from byorn.scoring.statistics import CONTRAST, EVIDENCE, STATISTICS
from byorn.scoring.table import Scores, read_scores

COMMAND = "simulate"


def simulate(run: Path, data: DataSpec, model: ModelSpec, out: Path, spec: SimulateSpec | None = None) -> Simulation:
    """Plant attacks in a copy of the rows of a scan and look for them; the same call goes on with one that was killed.

    Args:
        run: Folder of a scan, or of a training that scanned.
        data, model: What was scanned, and by what.
        out: The folder to write.
        spec: Which attacks, and how many rows.

    Raises:
        ByornError: Files do not belong together, an attack is unknown, or the scan flags by no rule of scores.
    """
    spec = spec or SimulateSpec()
    attacks = known_attacks(spec.attacks, rate=spec.rate, seed=spec.seed)
    make_folder(out)
    _require_ours(out)
    scanned = open_scanned(run, data, model, out)
    rule = scanned.settings
    scan = identity_of(scanned.scores, scanned.flags)
    settings = {"command": COMMAND, "scan": scan, "rate": spec.rate, "seed": spec.seed, "data": data, "model": model}
    if (out / "config.yaml").exists():
        same_config(out, {name: settings[name] for name in ("scan", "rate", "seed")})
    write_config(out, {**settings, "attacks": list(spec.attacks)})
    lab = Lab(scanned=scanned, rule=rule, data=data, model=model, out=out)
    found = [_simulated(lab, attack) for attack in attacks]
    result = Simulation(scan=scan, rows=len(scanned.rows), rate=spec.rate, seed=spec.seed, attacks=found)
    write_json(out / FILE, result.as_dict())
    write_environment(out, model=model.name, seed=spec.seed)
    return result


def _require_ours(out: Path) -> None:
    if holds_other_than(out, COMMAND):
        raise ConfigError(f"--out {out}: it is not empty and no byorn simulate wrote it; choose another folder")


@dataclass(frozen=True, kw_only=True)
class Lab:
    """Where attacks are planted: a finished scan, and the model for what has no score yet."""

    scanned: Scanned
    rule: FlagSettings
    data: DataSpec
    model: ModelSpec
    out: Path
    places: dict[tuple[str, int], int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", {row.key: place for place, row in enumerate(self.scanned.rows)})

    @cached_property
    def loaded(self) -> Any:
        """The pretrained model.

        Raises:
            MismatchError: It is not that of the scan.
        """
        from byorn.models.digest import model_digest

        say(f"loading {self.model.name}")
        model = load_spec(self.model)
        require_scanned(self.scanned.scores, {"model_digest": model_digest(model)}, self.scanned.folder)
        return model

    @property
    def batch_size(self) -> int:
        """Rows a forward pass, as in the scan."""
        flagging = (read_config(self.scanned.folder) or {}).get("flagging")
        size = flagging.get("score_batch_size") if isinstance(flagging, Mapping) else None
        return size if isinstance(size, int) and size > 0 else FlagSettings.score_batch_size


def _simulated(lab: Lab, attack: KnownAttack) -> Simulated:
    """Plant one attack, score what was planted, and look for it."""
    say(f"{attack.name}:")
    folder = lab.out / attack.folder
    try:
        manifest = _planted(lab, attack)
        rows = _readable(lab, folder / "data", manifest)
    except (ConfigError, DataError) as error:
        if isinstance(error.__cause__, OSError):  # a full disk says nothing about an attack
            raise
        say(f"  not planted: {error}")
        return Simulated(name=attack.name, target=attack.recipe.target, reason=str(error).rstrip("."))
    scores = _scores(lab, rows, folder / "scores.parquet")
    found = _look(lab, attack, manifest, rows, _mixed(lab, rows, scores, folder))
    say(f"  {found.sentence}")
    return found


def _planted(lab: Lab, attack: KnownAttack) -> Manifest:
    """The manifest of the planted rows, which are written unless they were before.

    Raises:
        ByornError: The attack cannot be planted in these rows.
    """
    folder = lab.out / attack.folder
    if (folder / "data/manifest.json").exists():
        return read_manifest(folder / "data")
    shutil.rmtree(folder, ignore_errors=True)  # what a kill has left
    surrogate = {"model": lab.loaded, "processor": lab.scanned.processor} if attack.recipe.needs_model else {}
    return plant(lab.scanned.rows, attack.recipe, folder / "data", **surrogate)


def _readable(lab: Lab, folder: Path, manifest: Manifest) -> list[Row]:
    """The planted rows as a scan reads them.

    Raises:
        DataError: The model can take none of those that are poisoned.
    """
    processor = lab.scanned.processor
    loaded = load_rows(folder, special_tokens=special_tokens(processor), notify=lambda line: None)
    limit = lab.data.max_length or context_length(load_config(lab.model))
    rows, overlong = split_overlong(loaded.rows, processor, limit) if limit else (list(loaded.rows), [])
    poisoned = manifest.keys
    if not any(row.key in poisoned for row in rows):
        first = next(iter([*loaded.rejects, *overlong]), "")
        raise DataError(f"the model can take none of its {len(poisoned)} rows, first: {first}")
    return rows


def _scores(lab: Lab, rows: list[Row], path: Path) -> Scores:
    """Their scores, as a scan keeps them; the journal of a killed run is used."""
    inputs = _inputs(lab, rows)
    if not finished(path):
        score_inputs(replace(inputs, model=lab.loaded), path, lab.batch_size)
    scores = read_scores(path)
    require_same(scores.metadata, inputs.identity, path)
    return scores


def _inputs(lab: Lab, rows: list[Row]) -> Inputs:
    """Rows as a scan has them; the model is loaded by whoever needs it."""
    from byorn.data.dataset import to_dataset

    metadata = lab.scanned.scores.metadata
    identity = {name: metadata[name] for name in ("model", "model_digest", "processor_digest")}
    identity["data"] = fingerprint(rows)
    processor = lab.scanned.processor
    dataset = to_dataset(training_rows(rows, processor))
    return Inputs(rows=rows, dataset=dataset, model=None, processor=processor, identity=identity, rejects=0)


def _look(lab: Lab, attack: KnownAttack, manifest: Manifest, rows: Sequence[Row], run: Run) -> Simulated:
    """What scan and report say of the rows with the planted ones among them."""
    mask = np.zeros(len(run.rows), dtype=bool)
    mask[[lab.places[row.key] for row in rows if row.key in manifest.keys]] = True
    named = _named(run, mask)
    _write_canaries(lab.out / attack.folder / "canaries.jsonl", attack, run, mask)
    return Simulated(
        name=attack.name,
        target=attack.recipe.target,
        folder=attack.folder,
        lost=len(manifest.poisoned) - int(mask.sum()),
        threshold=run.flags.threshold,
        sight=sight(run.scores.values[run.statistic], run.flags.flagged, mask),
        named=named,
    )


def _mixed(lab: Lab, rows: Sequence[Row], scores: Scores, folder: Path) -> Run:
    """The scan as it would be with these rows in place of their originals."""
    scanned = lab.scanned
    places = [lab.places[row.key] for row in rows]
    replaced = dict(zip(places, rows, strict=True))
    together = [replaced.get(place, row) for place, row in enumerate(scanned.rows)]
    values = {name: scanned.scores.values[name].copy() for name in STATISTICS if name in scanned.scores.values}
    for name, column in values.items():
        column[places] = scores.values[name]
    tokens = scanned.scores.tokens.copy()
    tokens[places] = scores.tokens
    mixed = replace(scanned.scores, values=values, tokens=tokens)
    if scanned.statistic in (EVIDENCE, CONTRAST):
        mixed = _anew(lab, together, mixed, folder)
    return Run(
        folder=lab.out,
        rows=together,
        scores=mixed,
        flags=flag(mixed, lab.rule),
        statistic=scanned.statistic,
        rejects=[],
        config={},
        environment={},
    )


def _anew(lab: Lab, rows: list[Row], scores: Scores, folder: Path) -> Scores:
    """The scores with what the scan flags by, of these rows, which is kept in the folder of the attack."""
    column = lab.scanned.statistic
    path = folder / f"{column}.parquet"
    inputs = _inputs(lab, rows)
    if finished(path):
        kept = read_scores(path)
        require_same(kept.metadata, inputs.identity, path)
        return kept
    scores = replace(scores, metadata={**scores.metadata, **inputs.identity})
    return add_column(scores, replace(inputs, model=lab.loaded), path, column, lab.batch_size)


def _named(run: Run, planted: np.ndarray) -> Named:
    """Which groups a report would find."""
    groups = find_clusters(run).found
    ours = [group for group in groups if planted[group.rows].mean() > 0.5]
    others = [group for group in groups if planted[group.rows].mean() <= 0.5]
    largest = max(ours, key=len, default=None)
    return Named(
        planted=int(planted[_rows_of(ours)].sum()),
        others=len(_rows_of(others)),
        phrase=largest.phrase if largest else "",
    )


def _rows_of(groups: Sequence[Cluster]) -> np.ndarray:
    """int array: the rows of groups, each once."""
    return np.unique(np.concatenate([np.zeros(0, dtype=int), *(group.rows for group in groups)]))


def _write_canaries(path: Path, attack: KnownAttack, run: Run, planted: np.ndarray) -> None:
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in _canaries(attack, run, planted))


def _canaries(attack: KnownAttack, run: Run, planted: np.ndarray) -> Iterator[dict[str, object]]:
    values = run.scores.values[run.statistic]
    for number, place in enumerate(map(int, np.flatnonzero(planted))):
        row = run.rows[place]
        score = float(values[place]) if np.isfinite(values[place]) else None
        flagged = bool(run.flags.flagged[place])
        yield {
            "canary": f"{attack.folder}-{number:05}",
            "id": row.id,
            "turn": row.turn,
            "score": score,
            "flagged": flagged,
        }
