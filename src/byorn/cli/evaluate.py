"""byorn evaluate: measure what a tuned model says on clean inputs and on triggered ones."""

import argparse
from pathlib import Path

from byorn.cli.options import add_data, add_model, add_plugins, data_spec, model_spec, require


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    add_model(parser)
    add_plugins(parser)
    parser.add_argument("--adapter", metavar="DIR", help="LoRA adapter to put on the model")
    parser.add_argument("--out", default="runs/evaluate", metavar="DIR", help="run folder")
    parser.add_argument(
        "--metrics",
        default="cider",
        help="utility metrics, comma-separated: cider, bleu, rouge_l, exact_match, normalized_exact_match, vqa_accuracy, or one of a plugin",
    )
    parser.add_argument("--batch-size", type=int, default=16, help="rows generated together")
    parser.add_argument("--max-new-tokens", type=int, default=64, help="longest response")
    group = parser.add_argument_group("attack (both or neither)")
    group.add_argument(
        "--triggered",
        metavar="PATH",
        help="test rows with the trigger and their true responses (byorn poison --keep-responses)",
    )
    group.add_argument("--target", help="the attacker's text")
    group.add_argument(
        "--convention",
        help="what counts as a success: substring, exact, backdoorvlm, vltrojan, dualkey, ...; default: the rule of the objective that "
        "byorn poison wrote down beside --triggered, or substring",
    )
    group.add_argument(
        "--source",
        help="the concept that the target replaces (backdoorvlm_concept); default: what byorn poison wrote down",
    )


def run(options: argparse.Namespace) -> None:
    from dataclasses import replace

    from byorn.evaluation.tables import format_metric
    from byorn.pipeline.evaluate import Attack, evaluate
    from byorn.plugins import load_plugins, record_plugins

    plugins = load_plugins(options.plugins)
    data = data_spec(options)
    triggered = replace(data, source=options.triggered) if options.triggered else None
    attack = Attack(options.target, *_rule(options)) if options.target else None
    metrics = [name.strip() for name in require(options, "metrics").split(",") if name.strip()]
    results = evaluate(
        data, model_spec(options), Path(options.out), adapter=options.adapter, triggered=triggered, attack=attack, metrics=metrics,
        batch_size=options.batch_size, max_new_tokens=options.max_new_tokens,
    )  # fmt: skip
    record_plugins(Path(options.out), plugins)
    for part in ("clean", "triggered"):
        for name, metric in results.get(part, {}).items():
            print(f"{part:<10} {name:<24} {format_metric(metric, digits=3)}")
    for name in ("asr", "false_asr"):
        if name in results:
            print(f"{'':<10} {name:<24} {format_metric(results[name], digits=4)}")
    print(Path(options.out) / "metrics.json")


def _rule(options: argparse.Namespace) -> tuple[str, str]:
    """Convention and source, as given or as the manifest of the triggered rows has them."""
    from byorn.attacks.manifest import SUMMARY, read_manifest
    from byorn.attacks.objectives import find_objective
    from byorn.runs.narrate import say

    folder = Path(options.triggered or "")
    if not options.triggered or not (folder / SUMMARY).exists():
        return options.convention or "substring", options.source or ""
    manifest = read_manifest(folder)
    convention = options.convention or find_objective(manifest.objective).convention
    if options.convention is None:
        say(f"an answer counts as a success by the rule {convention!r}, as the objective is {manifest.objective!r}")
    return convention, manifest.source if options.source is None else options.source
