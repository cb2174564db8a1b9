"""`byorn-f`: leave out the rows whose responses the pretrained model finds implausible.

Formula: train on {i : u_i = 0}, u as for `byorn`.
Cost: that of the scan, see `byorn`.
Source: the ablation of Sabolić et al., ICML 2026, arXiv 2606.02947. It is as good as its flags; compare `random-drop`.
"""

from dataclasses import replace

from byorn.defenses.byorn import byorn
from byorn.defenses.plan import Case, Plan


def byorn_f(case: Case) -> Plan:
    """The flags of `byorn`, dropped."""
    return replace(byorn(case), arguments={"replacement": "drop"})
