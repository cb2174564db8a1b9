"""The demo over several seeds: `make demo-seeds`. Writes `benchmarks/results/demo.json` and prints their table.

A finished run folder (`runs/demo-seed-N/summary.json`) is not run again.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from byorn.bench.demo import DemoSpec, demo
from byorn.runs.folder import write_json
from byorn.runs.narrate import quiet_libraries

RESULT = Path(__file__).parent / "results" / "demo.json"
MODELS = ("pretrained", "undefended", "oracle", "byorn")


def run(seed: int) -> dict[str, Any]:
    out = Path(f"runs/demo-seed-{seed}")
    if (out / "summary.json").exists():
        known: dict[str, Any] = json.loads((out / "summary.json").read_text())
        return known
    return demo(DemoSpec(seed=seed), out)


def spread(values: list[float], scale: float = 1.0) -> str:
    """Mean with the smallest and the largest value over the seeds."""
    return f"{scale * mean(values):.1f} ({scale * min(values):.1f} to {scale * max(values):.1f})"


def table(summaries: list[dict[str, Any]]) -> str:
    lines = ["| model | ASR % | CIDEr, clean images | CIDEr, triggered images |", "|---|---|---|---|"]
    for model in MODELS:
        asr = spread([summary[f"asr_{model}"] for summary in summaries], 100)
        clean, triggered = (
            spread([s[f"{name}_{model}"] for s in summaries]) for name in ("utility", "utility_triggered")
        )
        lines.append(f"| {model} | {asr} | {clean} | {triggered} |")
    ratio = spread([s["utility_byorn_over_oracle"] for s in summaries], 100)
    auc = mean(s["detection_auc"] for s in summaries)
    recall = mean(s["detection_recall"] for s in summaries)
    lines.append(
        f"\nDetection: AUC {auc:.4f}, recall {recall:.3f}. byorn over oracle: {ratio} %. "
        f"Mean (smallest to largest) over {len(summaries)} seeds."
    )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None, result: Path = RESULT) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args(arguments)
    quiet_libraries()
    summaries = [run(seed) for seed in args.seeds]
    result.parent.mkdir(exist_ok=True)
    write_json(result, {"command": "make demo-seeds", "seeds": args.seeds, "summaries": summaries})
    print(table(summaries))


if __name__ == "__main__":
    main()
