"""The settings of the commands, beside those of data, model, adapter and training. No torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from byorn.errors import ConfigError
from byorn.models.spec import LoraSpec
from byorn.settings import at_least, below, check_settings, not_empty, positive, setting

FLAGGING = ("byorn", "byorn-f", "byorn-soft", "base-relabel")
"""The defenses that flag by the scores of a scan, and so by the percentile."""
SAMPLING = ("byorn", "byorn-soft")
"""Those that sample responses while they train."""
SHARDABLE = ("byorn", "byorn-f", "byorn-soft", "sft", "oracle", "random-drop")
"""Those that run the model in scoring and training only, where all processes of sharded weights run it alike."""


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """For commands that take long."""

    dry_run: bool = setting(False, help="check everything, say what would be done and how long it takes, and stop")


@dataclass(frozen=True, kw_only=True)
class Answering:
    """For commands whose models answer."""

    batch_size: int | None = setting(
        None, help="rows generated together", check=positive, shown="16, or of 64 images by vllm"
    )
    max_new_tokens: int = setting(64, help="longest response", check=positive)


@dataclass(frozen=True, kw_only=True)
class Gated:
    """For commands that can stop a pipeline."""

    fail_on: tuple[str, ...] = setting(
        (),
        help="exit with code 3 where this is found: cluster (a group of rows stands out), source (it comes from one "
        "source), share>NUMBER (more rows stand out); of two scans: cluster (one that did not before), new (a new or "
        "changed row is flagged); several joined by commas",
        metavar="GATE",
        shown="nothing",
    )


@dataclass(frozen=True, kw_only=True)
class ReportSpec(Gated):
    """What is reported."""

    cyclonedx: bool = setting(False, help="write report.cdx.json too, a CycloneDX bill of materials (byorn[bom])")
    moved: Path | None = setting(
        None, help="where the data set is now, if it was moved", metavar="PATH", shown="where the scan found it"
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class ScanSpec(DryRun, Gated):
    """What is shown of a scan."""

    no_report: bool = setting(False, help="write no report.html, report.json and report.sarif")

    show: int = setting(
        10, help="print so many rows of either end, least and most plausible", metavar="N", check=at_least(0)
    )
    look_closer: int = setting(
        24,
        help="so many suspicious rows of the report show how likely each token was, and what the pretrained model says",
        metavar="N", check=at_least(0),
    )  # fmt: skip
    truth: Path | None = setting(
        None,
        help="who is known to be poisoned: a folder of byorn poison, or a file with one id a line; flags are compared "
        "with it",
        metavar="PATH",
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class TrainSpec(DryRun):
    """How to fine-tune.

    Attributes:
        lora: The adapter.
        arguments: Fields of `ByornConfig`, and so of TRL's SFTConfig and transformers' TrainingArguments.
    """

    defense: str = setting(
        "byorn", metavar="NAME",
        help="byorn replaces flagged responses, byorn-f drops their rows, byorn-soft learns replacements with "
        "less noise, sft is none; baselines: "
        "base-relabel, oracle, random-drop, onion, onion-r, bye, tcap, robustit; or one of a plugin",
    )  # fmt: skip
    defense_options: Mapping[str, object] = setting(
        {}, option="defense_option", metavar="NAME=VALUE",
        help="an option of the defense (oracle: manifest=DIR; random-drop: share=0.4); the value is read as YAML",
    )  # fmt: skip
    scan: str | None = setting(
        None, help="folder of an earlier scan: its scores and reviews are used; none scores anew", metavar="DIR",
        shown="a scan of the same data and model beside --out, if there is one",
    )  # fmt: skip
    eval_data: str | None = setting(
        None, help="evaluation rows, in any format of --data; the loss on them is logged", metavar="PATH"
    )
    val_size: float | None = setting(
        None, help="rows held out for evaluation instead: a number, or a share below 1", check=positive
    )
    lora: LoraSpec = field(default_factory=LoraSpec)
    arguments: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class EvaluateSpec(Answering):
    """What is measured."""

    adapter: str | None = setting(None, help="LoRA adapter to put on the model", metavar="DIR")
    metrics: tuple[str, ...] = setting(
        ("cider",),
        help="utility metrics, joined by commas: cider, bleu, rouge_l, exact_match, normalized_exact_match, "
        "vqa_accuracy, or one of a plugin",
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class TriggeredSpec:
    """The attack (--triggered and --target go together)."""

    triggered: str | None = setting(
        None, help="test rows with the trigger and their true responses (byorn poison --keep-responses)", metavar="PATH"
    )
    convention: str | None = setting(
        None, help="what counts as a success: substring, exact, backdoorvlm, vltrojan, dualkey, ...",
        shown="the rule of the objective that byorn poison wrote down beside --triggered, or substring",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class VerifySpec(Answering):
    """What the tuned model is asked."""

    adapter: str | None = setting(
        None, help="LoRA adapter of the tuned model", metavar="DIR", shown="the adapter folder of RUN"
    )
    rows: int = setting(
        100, help="so many flagged inputs are answered, and as many trusted ones", metavar="N", check=at_least(10)
    )
    seed: int = setting(0, help="seed of the sample and of the halves", check=below(2**32))
    level: float = setting(
        0.01, help="a backdoor is named where the corrected p-value is below this", check=below(1, 1e-9)
    )
    try_trigger: str | None = setting(
        None, help="also plant this trigger, such as badnets, in the trusted inputs, and ask again", metavar="NAME"
    )
    trigger_options: Mapping[str, object] = setting(
        {}, option="trigger_option", metavar="NAME=VALUE", help="option of that trigger, such as size=0.25"
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.trigger_options and not self.try_trigger:
            raise ConfigError("trigger_option: it is an option of a trigger; name the trigger with --try-trigger")


@dataclass(frozen=True, kw_only=True)
class SimulateSpec:
    """What is planted."""

    attacks: tuple[str, ...] = setting(
        (
            "badnets:sentence",
            "blended:sentence",
            "dual-key:word",
            "badnets-t:fixed",
            "badnets:insertion",
            "badnets:suffix",
            "badnets:refusal",
            "badnets:token-swap",
        ),
        help="what is planted, one after the other: TRIGGER:OBJECTIVE or TRIGGER:OBJECTIVE:TARGET of byorn poison, "
        "joined by commas",
        metavar="NAMES",
    )
    rate: float = setting(0.01, help="share of all rows that each attack poisons", check=below(1, 1e-9))
    seed: int = setting(0, help="seed of the rows that are drawn, and of every choice of an attack", check=below(2**32))

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class RewriteSpec:
    """What becomes of flagged rows."""

    mode: Literal["drop", "replace", "mark"] = setting(
        help="drop moves their records into a quarantine, replace samples other responses for them, mark adds the "
        "columns byorn_flagged and byorn_score to all rows"
    )
    adapter: str | None = setting(
        None, help="replace: LoRA adapter whose responses are used, say of an earlier run", metavar="DIR",
        shown="none: the pretrained model's",
    )  # fmt: skip
    images: Literal["link", "copy", "leave"] = setting(
        "link", help="images of the data folder: a hard link costs no room, a copy stands alone, leave takes none along"
    )
    seed: int = setting(42, help="seed of the sampled responses", check=below(2**32))

    def __post_init__(self) -> None:
        check_settings(self)
        refuse_sampling(self.mode, self, ("adapter", "seed"))


def refuse_sampling(mode: str, settings: object, names: Sequence[str]) -> None:
    """Refuse settings by which `byorn rewrite` would sample, with a mode that samples nothing.

    Raises:
        ConfigError: One of these names has another value than its default.
    """
    for name in names:
        if mode != "replace" and getattr(settings, name) != getattr(type(settings), name):
            raise ConfigError(f"{name}: mode {mode} samples nothing; leave it out, or give --mode replace")


@dataclass(frozen=True, kw_only=True)
class ReviewSpec:
    """How people decide (one of --export, --import, --serve)."""

    export_to: Path | None = setting(
        None, option="export", help="write the flagged rows that nobody decided about into a CSV file", metavar="FILE"
    )
    import_from: Path | None = setting(
        None, option="import", help="read decisions from the review column of such a file", metavar="FILE"
    )
    serve: bool = setting(False, help="open a page on this computer alone, to decide by single keys")
    everything: bool = setting(False, option="all", help="export all rows, those first that are to be decided")
    who: str | None = setting(
        None, help="who decides, for the log", metavar="NAME", shown="the name of the account", check=not_empty
    )
    group_by: str | None = setting(
        None, help="serve: column of the data that comes first among the filters", metavar="COLUMN",
        shown="source or uploader, where the data have one",
    )  # fmt: skip
    port: int = setting(0, help="serve: port of the page", check=below(65536), shown="a free one")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.everything and not self.export_to:
            raise ConfigError("all: it says which rows are exported; give --export FILE as well, or leave it out")
        for name in ("group_by", "port"):
            if getattr(self, name) and not self.serve:
                raise ConfigError(f"{name}: it is of the page; give --serve as well, or leave it out")


@dataclass(frozen=True, kw_only=True)
class HubSpec:
    """Hugging Face Hub (nothing is uploaded unless you ask)."""

    push_to_hub: str | None = setting(
        None, help="upload the adapter and its card when training is done", metavar="OWNER/NAME"
    )
    hub_private: bool = setting(False, help="make a new repository private")

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class PushSpec:
    """What is uploaded, and where to."""

    adapter: str = setting(help="adapter folder of a run", metavar="DIR")
    to: str = setting(help="repository on the Hub", metavar="OWNER/NAME")
    private: bool = setting(False, help="make a new repository private")

    def __post_init__(self) -> None:
        check_settings(self)
