"""`byorn-soft`: `byorn` whose flagged rows learn the average's distributions instead of its sampled tokens.

Formula: the response t^_i is sampled as for `byorn`; its loss is the cross-entropy of p_theta with p_ema at each of its
    tokens, which has the same gradient in expectation and less noise.
Cost: that of `byorn`, and one forward pass more on every flagged step.
Source: our own, see `byorn.training.soft_targets`; not in the paper (arXiv 2606.02947).
"""

from dataclasses import replace

from byorn.defenses.byorn import byorn
from byorn.defenses.plan import Case, Plan


def byorn_soft(case: Case) -> Plan:
    """The flags of `byorn`, learned with soft targets."""
    return replace(byorn(case), arguments={"soft_targets": True})
