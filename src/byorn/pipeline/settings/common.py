"""What several commands have. No torch here, nor in any file of this folder."""

from dataclasses import dataclass

from byorn.settings import positive, setting


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
