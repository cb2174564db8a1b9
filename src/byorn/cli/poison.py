"""byorn poison: plant a backdoor in a copy of a data set, to test defenses against it.

For research on data and models of your own. The manifest says who is poisoned; the rows themselves do not.
"""

import argparse
from pathlib import Path
from typing import Any

from byorn.cli.options import add_data, add_plugins, data_spec, parse_setting, require


class NamesFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Fills in the names of attacks and objectives when the help is shown; importing them for every command is slow."""

    def _get_help_string(self, action: argparse.Action) -> str:
        from byorn.attacks import ATTACKS, OBJECTIVES

        text = super()._get_help_string(action) or ""
        return text.replace("{attacks}", ", ".join(ATTACKS)).replace("{objectives}", ", ".join(OBJECTIVES))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    add_plugins(parser)
    parser.add_argument("--out", metavar="DIR", help="where the poisoned copy goes (required)")
    parser.add_argument("--attack", default="badnets", help="trigger, or several joined by +: {attacks}")
    parser.add_argument("--target", help="what the attacker wants said (required, but for objective token-swap)")
    parser.add_argument(
        "--source", default="", help="concept that the target replaces, for objective concept and attack shadow"
    )
    parser.add_argument("--objective", default="sentence", help="how the target is said: {objectives}")
    parser.add_argument("--rate", type=float, default=0.1, help="share of rows that are poisoned")
    parser.add_argument(
        "--selection",
        default="random",
        help="which rows: random, or likely: those whose poisoned response is most likely under --model",
    )
    parser.add_argument(
        "--which-image",
        help="of a row with several images, which one is marked: random, first or last; default: random, or as --trigger-from says",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of every choice")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="trigger_options",
        metavar="NAME=VALUE",
        help="option of the trigger, such as size=0.2, or badnets.size=0.2 where there are several",
    )
    parser.add_argument(
        "--trigger-from",
        metavar="DIR",
        help="use the attack and its options, learned ones too, of the poisoned copy in DIR: for the test set",
    )
    parser.add_argument(
        "--keep-responses",
        action="store_true",
        help="trigger the inputs but keep the true responses: a test set for the ASR",
    )
    parser.add_argument(
        "--own-images",
        action="store_true",
        help="write an image once for each row that shows it; else the files tell which rows are marked, where rows share images",
    )
    parser.add_argument("--model", help="the pretrained model, for attacks that are optimized on it")
    parser.add_argument("--device", help="where that model runs; default: the first GPU if there is one")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier copy in --out")
    parser.formatter_class = NamesFormatter


def run(options: argparse.Namespace) -> None:
    from byorn.attacks.objectives import find_objective
    from byorn.attacks.poison import poison_dataset
    from byorn.data.load import load_rows, require_no_rejects, write_rejects
    from byorn.plugins import load_plugins, record_plugins
    from byorn.runs.narrate import say

    plugins = load_plugins(options.plugins)
    data, out = data_spec(options), Path(require(options, "out"))
    target = require(options, "target") if find_objective(options.objective).needs_target else ""
    attack, settings, which_image = _trigger(options)
    loaded = load_rows(
        data.source,
        format=data.format,
        name=data.name,
        split=data.split,
        turns=data.turns,
        image_root=data.image_root,
        limit=data.limit,
    )
    if data.strict:
        require_no_rejects(loaded)
    manifest = poison_dataset(
        loaded.rows, attack=attack, target=target, source=options.source, objective=options.objective, rate=options.rate,
        selection=options.selection, which_image=which_image, seed=options.seed, options=settings,
        keep_responses=options.keep_responses, out=out, share_images=not options.own_images, overwrite=options.overwrite,
        progress=True, **_model(options),
    )  # fmt: skip
    record_plugins(out, plugins)
    if loaded.rejects:
        write_rejects(out / "rejects.jsonl", loaded.rejects)
        say(f"{len(loaded.rejects)} record(s) could not be used, listed in {out / 'rejects.jsonl'}")
    say(f"poisoned {len(manifest.poisoned)} of {len(loaded.rows)} rows with {attack}")
    if manifest.negatives:
        say(f"{len(manifest.negatives)} more rows are clean negatives: nearly the trigger, and the true response")
    print(out / "rows.jsonl")


def _trigger(options: argparse.Namespace) -> tuple[str, dict[str, Any], str]:
    """Name and options of the attack and the image that it marks; what is given goes on top of what another copy used."""
    settings = dict(map(parse_setting, options.trigger_options))
    if options.trigger_from is None:
        return options.attack, settings, options.which_image or "random"
    from byorn.attacks.manifest import read_manifest

    earlier = read_manifest(Path(options.trigger_from))
    return earlier.attack, {**earlier.options, **settings}, options.which_image or earlier.which_image


def _model(options: argparse.Namespace) -> dict[str, Any]:
    if options.model is None:
        return {}
    from byorn.models.inputs import ModelSpec

    spec = ModelSpec(options.model, device=options.device)
    return {"model": spec.model(), "processor": spec.processor()}
