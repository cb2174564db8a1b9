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

from collections.abc import Sequence
from pathlib import Path

from byorn.attacks.known import KnownAttack, known_attacks
from byorn.data.spec import DataSpec
from byorn.errors import ConfigError, DataError
from byorn.models.spec import ModelSpec
from byorn.pipeline.canaries import seen
from byorn.pipeline.lab import Lab, planted
from byorn.pipeline.rescored import rescored
from byorn.pipeline.scanned import open_scanned
from byorn.pipeline.settings.simulate import SimulateSpec
from byorn.report.simulation import FILE, Simulated, Simulation, identity_of
from byorn.runs.alone import alone
from byorn.runs.folder import (
    make_folder,
    require_apart,
    require_ours,
    same_config,
    write_config,
    write_environment,
    write_json,
)
from byorn.runs.narrate import say

COMMAND = "simulate"


def simulate(run: Path, data: DataSpec, model: ModelSpec, out: Path, spec: SimulateSpec | None = None) -> Simulation:
    """Plant attacks in a copy of the rows of a scan and look for them; the same call goes on with one that was killed.

    Args:
        run: Folder of a scan, or of a training that scanned.
        data, model: What was scanned, and by what.
        out: The folder to write.
        spec: Which attacks, and how many rows.

    Raises:
        ByornError: Files do not belong together, an attack is unknown, the scan flags by no rule of scores, or
            another run is at work in `out`.
    """
    spec = spec or SimulateSpec()
    attacks = known_attacks(spec.attacks, rate=spec.rate, seed=spec.seed)
    require_apart(out, data.source)  # a later scan of the data would find what is planted
    make_folder(out)
    with alone(out):
        return _simulation(run, data, model, out, spec, attacks)


def _simulation(
    run: Path, data: DataSpec, model: ModelSpec, out: Path, spec: SimulateSpec, attacks: Sequence[KnownAttack]
) -> Simulation:
    """What `simulate` does in a folder that is its own."""
    require_ours(out, COMMAND, alone=True)
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


def _simulated(lab: Lab, attack: KnownAttack) -> Simulated:
    """Plant one attack, score what was planted, and look for it."""
    say(f"{attack.name}:")
    try:
        rows = planted(lab, attack)
    except (ConfigError, DataError) as error:
        if isinstance(error.__cause__, OSError):  # a full disk says nothing about an attack
            raise
        say(f"  not planted: {error}")
        return Simulated(name=attack.name, target=attack.recipe.target, reason=str(error).rstrip("."))
    found = seen(lab, rows, rescored(lab, rows))
    say(f"  {found.sentence}")
    return found
