"""byorn poison: plant a backdoor in a copy of a data set, to test defences against it.

For research on data and models of your own. The manifest says who is poisoned; the rows themselves do not.
"""

import argparse
from pathlib import Path

from byorn.cli.options import add_data, data_spec, parse_setting, require


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--out", metavar="DIR", help="where the poisoned copy goes (required)")
    parser.add_argument("--attack", default="badnets", help="trigger")
    parser.add_argument("--target", help="what the attacker wants said (required)")
    parser.add_argument("--objective", default="sentence", help="how the target is said: sentence, word or fixed")
    parser.add_argument("--rate", type=float, default=0.1, help="share of rows that are poisoned")
    parser.add_argument("--seed", type=int, default=0, help="seed of every choice")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="trigger_options",
        metavar="NAME=VALUE",
        help="option of the trigger, such as size=0.2",
    )
    parser.add_argument(
        "--keep-responses",
        action="store_true",
        help="trigger the inputs but keep the true responses: a test set for the ASR",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier copy in --out")


def run(options: argparse.Namespace) -> None:
    from byorn.attacks.poison import poison_dataset
    from byorn.data.load import load_rows, require_no_rejects, write_rejects
    from byorn.pipeline.narrate import say

    data, out = data_spec(options), Path(require(options, "out"))
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
        loaded.rows, attack=options.attack, target=require(options, "target"), objective=options.objective, rate=options.rate,
        seed=options.seed, options=dict(map(parse_setting, options.trigger_options)),
        keep_responses=options.keep_responses, out=out, overwrite=options.overwrite, progress=True,
    )  # fmt: skip
    if loaded.rejects:
        write_rejects(out / "rejects.jsonl", loaded.rejects)
        say(f"{len(loaded.rejects)} record(s) could not be used, listed in {out / 'rejects.jsonl'}")
    say(f"poisoned {len(manifest.poisoned)} of {len(loaded.rows)} rows with {options.attack}")
    print(out / "rows.jsonl")
