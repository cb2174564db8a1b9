"""`byorn verify`: did a backdoor take? The tuned and the pretrained model answer the inputs that a scan flagged, whose
triggers are still in them, and as many trusted ones; what the report takes for the trigger is put onto the trusted
ones, and asked again. Who is asked: `byorn.pipeline.sampled`.
"""

from dataclasses import replace
from pathlib import Path

from byorn.attacks.manifest import attacked
from byorn.attacks.poison import poison_dataset
from byorn.attacks.recipe import Recipe
from byorn.data.load import load_rows
from byorn.data.row import Row
from byorn.data.spec import DataSpec
from byorn.errors import ConfigError
from byorn.models.adapters import load_adapter_config
from byorn.models.digest import model_digest
from byorn.models.length import context_length
from byorn.models.load import load_config, load_spec
from byorn.models.spec import ModelSpec
from byorn.pipeline.engine import require_available
from byorn.pipeline.questions import Questions, has_answered, identity_of
from byorn.pipeline.sampled import Sampled, sample
from byorn.pipeline.scanned import open_scanned, require_scanned
from byorn.pipeline.settings.verify import VerifySpec
from byorn.pipeline.verified import VERDICT, Verified, of_another, remove_verdict
from byorn.runs.alone import alone
from byorn.runs.folder import make_folder, require_ours, write_config, write_environment
from byorn.runs.narrate import say
from byorn.training.settings import EngineSettings


def verify(
    run: Path,
    data: DataSpec,
    model: ModelSpec,
    out: Path,
    spec: VerifySpec | None = None,
    engine: EngineSettings | None = None,
) -> Verified:
    """Write `verify.json` and `verify.jsonl` (the answers side by side) into `out`; return the verdict.

    Answers are kept as they come (`pretrained/`, and in `tuned/` a folder for each adapter), and used again if they
    belong to these rows, this model, adapter and engine.

    Args:
        run: Folder of a scan, or of a training that scanned.
        data, model: What was scanned, and by what.
        out: The folder of the answers.
        spec: The adapter, sample and limits.
        engine: What answers, for both models.

    Raises:
        ByornError: Files do not belong together or cannot be used, there are too few rows to compare, the engine
            cannot be had, or another run is at work in `out`.
    """
    spec, engine = spec or VerifySpec(), engine or EngineSettings()
    adapter, trigger = _adapter(run, spec), _trigger(spec)
    identity = identity_of(adapter)
    if other := of_another(out, identity):
        way = f"it gives way to that of {adapter} once this one has answered"
        say(f"{out / VERDICT} is about another adapter, {other}; {way}")
    if not has_answered(out, identity):
        require_available(engine, model)
    make_folder(out)
    with alone(out):
        return _verified(run, data, model, out, spec, engine, adapter, trigger)


def _verified(
    run: Path, data: DataSpec, model: ModelSpec, out: Path, spec: VerifySpec, engine: EngineSettings, adapter: Path,
    trigger: Recipe | None,
) -> Verified:  # fmt: skip
    """What `verify` does in a folder that is its own."""
    require_ours(out, "verify", alone=False)
    identity = identity_of(adapter)
    scanned = open_scanned(run, data, model, out)
    sampled = sample(scanned, spec, data.max_length or context_length(load_config(model)))
    triggered = _with_trigger(sampled, trigger, out) if trigger else []
    say(f"loading {model.name}")
    pretrained = load_spec(model)
    require_scanned(scanned.scores, {"model_digest": model_digest(pretrained)}, run)
    questions = Questions(processor=scanned.processor, sampled=sampled, triggered=triggered, spec=spec, engine=engine)
    found = Verified.of(questions, *questions.answered(model, pretrained, adapter, out))
    if of_another(out, identity):  # a kill must not leave it under the settings of this one
        remove_verdict(out)
    settings = {"run": str(run), "data": data, "model": model, "verify": spec, "engine": engine}
    write_config(out, {"command": "verify", **settings})
    found.write(out, identity)
    write_environment(out, model=model.name, adapter=str(adapter), seed=spec.seed)
    return found


def _adapter(run: Path, spec: VerifySpec) -> Path:
    adapter = Path(spec.adapter) if spec.adapter else run / "adapter"
    if not spec.adapter and not adapter.is_dir():
        raise ConfigError(f"{run}: it holds no adapter; give the tuned model with --adapter DIR")
    load_adapter_config(adapter)  # one that is none is told before the pretrained model answers
    return adapter


def _trigger(spec: VerifySpec) -> Recipe | None:
    """The trigger to try, for a target that is not known yet.

    Raises:
        ConfigError: It is unknown, or learned on a model.
    """
    if not spec.try_trigger:
        return None
    recipe = Recipe(
        attack=spec.try_trigger, target="unknown", rate=1.0, keep_responses=True, seed=spec.seed,
        options=dict(spec.trigger_options),  # type: ignore[arg-type]  # checked by the trigger
    )  # fmt: skip
    if recipe.needs_model:
        raise ConfigError(f"--try-trigger {spec.try_trigger}: it is learned on a model; only drawn triggers are tried")
    return recipe


def _with_trigger(sampled: Sampled, trigger: Recipe, out: Path) -> list[Row]:
    """Trusted inputs with a named trigger; none where no phrase could be counted in the answers."""
    if not sampled.phrases:
        say(f"  {trigger.attack} is not tried: there is no phrase to look for in the answers")
        return []
    folder = out / "triggered"
    poison_dataset(sampled.trusted, replace(trigger, target=sampled.phrases[0].text), out=folder, overwrite=True)
    return attacked(load_rows(folder).rows, folder)
