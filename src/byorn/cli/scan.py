"""byorn scan: score every response, and flag groups of rows that stand out.

The YAML file of the training to come serves as well: `byorn scan --config sft.yaml`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from byorn.cli.arguments import CONFIG, Command, Values
from byorn.cli.next_step import review_step, tell_next, train_step
from byorn.cli.train import COMMAND as TRAIN
from byorn.cli.training_file import TrainingFile
from byorn.data.spec import DataSpec
from byorn.flagging.settings import FlagSettings
from byorn.models.spec import ModelSpec
from byorn.pipeline.settings.scan import ScanSpec
from byorn.runs.settings import Common, Output
from byorn.settings import build

if TYPE_CHECKING:
    from byorn.pipeline.scan import ScanResult
    from byorn.report.evidence import Evidence


def run(values: Values) -> None:
    data = build(DataSpec, values)
    model = build(ModelSpec, values)
    spec = build(ScanSpec, values)
    flagging = build(FlagSettings, values)
    out = build(Output, values).out

    from byorn.evaluation.detection import read_truth
    from byorn.flagging.table import FLAGS
    from byorn.pipeline.scan import compare_with_truth, scan, show_ends
    from byorn.report.gates import check_gates, parse_gates
    from byorn.runs.ranks import is_main
    from byorn.scoring.table import SCORES

    gates = parse_gates(spec.fail_on)
    truth = read_truth(spec.truth) if spec.truth else None
    result = scan(data, model, out, flagging, truth=truth, dry_run=spec.dry_run)
    if result is None:
        return
    if spec.show:
        print(show_ends(result, spec.show))
    print(f"{out / SCORES}\n{out / FLAGS}")
    evidence = _report(result, out, spec) if is_main() and (gates or not spec.no_report) else None
    if truth is not None:
        print(compare_with_truth(result, truth, out))
    if result.flags.replaced.any():
        review = [review_step(out)] if result.flags.undecided.any() else []
        file = values.get(CONFIG)
        file = file if isinstance(file, TrainingFile) else None
        tell_next(*review, train_step(out, model, data, flagging, file=file))
    if evidence is not None:
        check_gates(gates, evidence)


def _report(result: "ScanResult", out: Path, spec: ScanSpec) -> "Evidence":
    """What the scan comes to: said, and written unless that is not wanted."""
    from byorn.pipeline.closer import look_closer
    from byorn.pipeline.report import write_report
    from byorn.pipeline.scan import as_run
    from byorn.report.page import shown_rows

    run = as_run(result, out)
    evidence = write_report(
        run,
        files=not spec.no_report,
        look=lambda evidence: look_closer(result.inputs, run, shown_rows(evidence, spec.look_closer)),
    )
    if not spec.no_report:
        print(out / "report.html")
    return evidence


COMMAND = Command(
    run=run,
    settings=(Output, DataSpec, ModelSpec, FlagSettings, ScanSpec, Common),
    example="byorn scan --model Qwen/Qwen2.5-VL-7B-Instruct --data data/train.json --out runs/scan",
    defaults={"out": Path("runs/scan")},
    aliases={"batch_size": "score_batch_size"},
    before=TRAIN,
)
