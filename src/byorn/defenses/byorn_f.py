"""`byorn-f`: leave out the rows whose responses the pretrained model finds implausible.

Formula: train on {i : s_i <= Q_p(s)}, s as for `byorn`.
Cost: one forward pass a row.
Source: the ablation of Sabolić et al., ICML 2026, arXiv 2606.02947. It is as good as its flags; compare `random-drop`.
"""

from dataclasses import replace

from byorn.defenses.byorn import byorn
from byorn.defenses.plan import Case, Plan


def byorn_f(case: Case) -> Plan:
    """The flags of `byorn`, dropped."""
    return replace(byorn(case), arguments={"replacement": "drop"})
