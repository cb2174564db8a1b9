"""What the defenses of `byorn train` have in common, by name."""

FLAGGING = ("byorn", "byorn-f", "byorn-soft", "base-relabel")
"""The defenses that flag by the scores of a scan, and so by the percentile."""
SAMPLING = ("byorn", "byorn-soft")
"""Those that sample responses of their average while they train: its decay matters to them."""
SHARDABLE = ("byorn", "byorn-f", "byorn-soft", "sft", "oracle", "random-drop")
"""Those that run the model in scoring and training only, where all processes of sharded weights run it alike."""
