"""byorn evaluate: measure what a tuned model says on clean inputs and on triggered ones."""

from dataclasses import replace
from pathlib import Path

from byorn.cli.arguments import Command, Values
from byorn.data.spec import DataSpec
from byorn.errors import ConfigError
from byorn.goal import Goal
from byorn.models.spec import ModelSpec
from byorn.pipeline.settings.evaluate import EvaluateSpec, TriggeredSpec
from byorn.runs.settings import Common, Output
from byorn.settings import build
from byorn.training.settings import EngineSettings


def run(values: Values) -> None:
    data = build(DataSpec, values)
    model = build(ModelSpec, values)
    spec = build(EvaluateSpec, values)
    engine = build(EngineSettings, values)
    out = build(Output, values).out
    attacked = build(TriggeredSpec, values)
    triggered = _triggered(data, attacked.triggered) if attacked.triggered else None
    goal = build(Goal, values)

    from byorn.evaluation.tables import format_metric
    from byorn.pipeline.evaluate import Attack, evaluate

    attack = Attack(*_success_rule(goal, attacked)) if _measured(goal, attacked) else None
    results = evaluate(data, model, out, spec, triggered=triggered, attack=attack, engine=engine)
    if results is None:  # not the first process
        return
    for part, utility in (("clean", results.clean), ("triggered", results.triggered)):
        for name, metric in utility.items():
            print(f"{part:<10} {name:<24} {format_metric(metric, digits=3)}")
    for name, rate in (("asr", results.asr), ("false_asr", results.false_asr)):
        if rate is not None:
            print(f"{'':<10} {name:<24} {format_metric(rate, digits=4)}")
    print(out / "metrics.json")


def _triggered(data: DataSpec, source: str) -> DataSpec:
    """How triggered rows are read: as clean ones, but for those that `byorn poison` wrote, which say it themselves."""
    from byorn.attacks.manifest import manifest_beside

    if manifest_beside(Path(source)) is None:
        return replace(data, source=source)
    return replace(data, source=source, format="auto", name=None, split="train", image_root=None)


def _measured(goal: Goal, attacked: TriggeredSpec) -> bool:
    """Whether an attack is: its target is given, or what counts as a success has none, as in a token swap."""
    from byorn.evaluation.asr import CONVENTIONS

    if goal.target or not attacked.triggered:
        return bool(goal.target)
    rule = CONVENTIONS.get(attacked.convention or _convention_beside(attacked.triggered))
    return rule is not None and "target" not in rule.needs


def _convention_beside(triggered: str) -> str:
    """The rule of the objective that `byorn poison` wrote down beside triggered rows."""
    from byorn.attacks.manifest import manifest_beside, read_summary
    from byorn.attacks.objectives import find_objective

    folder = manifest_beside(Path(triggered))
    return find_objective(read_summary(folder)["objective"]).convention if folder else "substring"


def _success_rule(goal: Goal, attacked: TriggeredSpec) -> tuple[Goal, str]:
    """Goal and convention, as given or as the manifest of the triggered rows has them."""
    from byorn.attacks.manifest import manifest_beside, read_summary
    from byorn.attacks.objectives import find_objective
    from byorn.runs.narrate import say

    folder = manifest_beside(Path(attacked.triggered)) if attacked.triggered else None
    if folder is None:
        return goal, attacked.convention or "substring"
    manifest = read_summary(folder)
    if not manifest.get("keep_responses", True):
        raise ConfigError(
            f"--triggered {folder}: its responses are the attacker's; write the test set with --keep-responses"
        )
    made_for = manifest.get("target") or goal.target
    if goal.target and made_for.strip().casefold() != goal.target.strip().casefold():
        say(f"  warning: {folder} was made for the target {made_for!r}, and {goal.target!r} is looked for")
    objective = manifest["objective"]
    convention = attacked.convention or find_objective(objective).convention
    if attacked.convention is None:
        say(f"an answer counts as a success by the rule {convention!r}, as the objective is {objective!r}")
    return replace(goal, source=goal.source or manifest.get("source", "")), convention


COMMAND = Command(
    run=run,
    settings=(Output, DataSpec, ModelSpec, EvaluateSpec, TriggeredSpec, Goal, EngineSettings, Common),
    example="byorn evaluate --model NAME --adapter runs/safe/adapter --data data/test.json --triggered "
    "data/test_triggered --target banana",
    defaults={"out": Path("runs/evaluate")},
)
