"""The verdict: one sentence, what it rests on, and what it cannot see."""

from dataclasses import dataclass

import numpy as np

from byorn.data.columns import most_values
from byorn.patterns.images import Pattern
from byorn.report.clusters import Cluster
from byorn.report.columns import Column, Value
from byorn.report.evidence import Evidence, Finding
from byorn.report.kinds import unexplained
from byorn.report.spurious import WORDINGS
from byorn.report.visible import plain
from byorn.report.words import in_inputs, number, p_in_words, percent, quoted, shared, short
from byorn.scoring.kinds import COPY
from byorn.scoring.statistics import ADAPTED_CONTRAST, CONTRAST, EVIDENCE, KIND, TRIGGER

MOST_KINDS = 3
"""Kinds of input that are named as doubtful."""
MOST_COLUMNS = 5
"""Columns that are named as not compared."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a scan comes to.

    Attributes:
        stands_out: Whether anything does.
        trigger: Whether the inputs of a group that does share something, as a trigger would be.
        sentence: The verdict.
        grounds: What it rests on, a sentence each.
        blind_spots: What it cannot see, a sentence each.
    """

    stands_out: bool
    trigger: bool
    sentence: str
    grounds: list[str]
    blind_spots: list[str]


def judge(evidence: Evidence) -> Verdict:
    """The verdict on the evidence: about rows that repeat a phrase. It gives no probability, as none is calibrated."""
    stands_out = bool(evidence.findings)
    return Verdict(
        stands_out=stands_out,
        trigger=any(finding.trigger for finding in evidence.findings),
        sentence=_alarm(evidence) if stands_out else _nothing(evidence),
        grounds=_grounds(evidence) if stands_out else _grounds_of_nothing(evidence),
        blind_spots=_blind_spots(evidence),
    )


def _alarm(evidence: Evidence) -> str:
    first = evidence.findings[0]
    count = len(first.cluster)
    trigger = (
        "stand out the way planted responses do, and their inputs share a possible trigger"
        if first.trigger
        else "stand out the way planted responses do; no trigger was found in their inputs"
    )
    more = len(evidence.findings) - 1
    others = {0: "", 1: "; one more group of rows stands out"}.get(more, f"; {more} more groups of rows stand out")
    rows, share = number(evidence.counts.rows), f"({percent(count / evidence.counts.rows)})"
    said = first.cluster.said
    if not first.cluster.phrase:
        part = f"; {number(said.rows)} of the {number(count)} share {quoted(said.text)}" if said else ""
        these = f"{number(count)} of {rows} rows {share} share {in_inputs(first.cluster.statistic)}"
        return f"{these}, and their responses do not follow from these{part}{others}."
    part = f", {number(said.rows)} of which" if said and said.rows < count else ""
    return f"{number(count)} of {rows} responses {share}{part} share {quoted(first.cluster.phrase)}, {trigger}{others}."


def _nothing(evidence: Evidence) -> str:
    doubtful = unexplained(evidence.kinds)
    if not doubtful:
        return f"Nothing stands out: the least plausible of {number(evidence.counts.rows)} responses share no phrase."
    rows = number(sum(kind.rows for kind in doubtful))
    those = (
        f"what {rows} rows answer to {quoted(doubtful[0].instruction)}"
        if len(doubtful) == 1
        else f"the answers to {len(doubtful)} kinds of input ({rows} rows)"
    )
    return f"Nothing stands out, but the images explain hardly anything of {those}: read some of these."


def _rule(evidence: Evidence) -> list[str]:
    """What the rule does, and how much it found."""
    counts = evidence.counts
    if counts.expected is None or counts.least is None:
        return [
            f"The {number(counts.flagged)} flagged rows are the least plausible ones by the rule "
            f"{evidence.distribution.rule}, which flags some rows of every data set: they are no finding."
        ]
    scored = counts.flagged - counts.unscored
    expected = f"; {counts.expected:,.1f} of them are expected to be poisoned{_bound(counts.least)}" if scored else ""
    return [
        f"{number(scored)} rows are flagged{expected}. The rule (evidence) flags groups of rows that say the same and "
        "stand out, or whose images share a pattern, or their instructions words, that give no reason for their "
        "responses; in clean data it flags next to none."
    ]


def _bound(least: int) -> str:
    """How many rows are poisoned at least, where there is a bound: plausible responses, behind a pattern, have none."""
    return f", and at least {number(least)} are (97.5 %)" if least else "; how plausible they are sets no lower bound"


def _grounds(evidence: Evidence) -> list[str]:
    said = [sentence for finding in evidence.findings[:3] for sentence in _ground(finding)]
    said += _rule(evidence) if evidence.counts.expected is not None else []
    said += [_source(evidence, column, value) for column, value in evidence.guilty[:2]]
    return said + _unexplained(evidence)


def _source(evidence: Evidence, column: Column, value: Value) -> str:
    table = value.standing_out or value.flagged
    return (
        f"{number(table.inside)} of the {number(evidence.counts.standing_out)} rows that stand out have "
        f"{plain(column.name, 60)} = {quoted(value.value)}, {short(table.ratio)} times the odds of other rows "
        f"(95 % interval {short(table.low)} to {short(table.high)})."
    )


def _found_by(cluster: Cluster, phrase: str) -> str:
    if cluster.statistic in WORDINGS:
        ground = WORDINGS[cluster.statistic].ground
        return ground.format(rows=number(len(cluster)), phrase=phrase, p=p_in_words(cluster.p_value))
    return (
        f"{number(cluster.top)} of the {number(len(cluster))} least plausible responses (column {cluster.statistic}) "
        f"contain {phrase}; phrases of clean data do so with {p_in_words(cluster.p_value)}, corrected for every "
        "phrase that was looked at."
    )


def _ground(finding: Finding) -> list[str]:
    cluster = finding.cluster
    phrase = shared(cluster.phrase, cluster.statistic)
    said = [_found_by(cluster, phrase)]
    if cluster.image_dependence is not None and cluster.image_dependence > 0:
        said.append(
            f"Responses with {phrase} depend on their own images less than others do "
            f"(contrast {cluster.image_dependence:+.2f} nats a token)."
        )
    said += [
        f"Their instructions share {quoted(text.text)}: {text.odds.inside} of {text.odds.of_inside} against "
        f"{text.odds.outside} of {text.odds.of_outside} elsewhere, on rows that this was not found on."
        for text in finding.texts[:1]
    ]
    said += [
        f"Their images share {pattern_in_words(pattern)}: it tells them from others with an AUC of {pattern.auc:.2f}, "
        "on rows that this was not found on."
        for pattern in finding.patterns[:1]
    ]
    if not finding.trigger:
        said.append(
            "Nothing was found that their inputs share, as a trigger would be. Another language, or the boilerplate of "
            "one source, looks like that too; so does a trigger that moves about, or too few rows to find one with."
        )
    return said


PATTERNS = {
    "region": "a region that looks alike",
    "picture": "a pattern over the whole picture",
    "texture": "a faint pattern over the whole picture",
    "spectrum": "a pattern in the spectrum",
}


def pattern_in_words(pattern: Pattern) -> str:
    """What it is; of one that was confirmed over the whole picture, whether most of it lies in its box."""
    placed = pattern.box is not None and pattern.kind != "region"
    return "a faint pattern, most of it in one place" if placed else PATTERNS[pattern.kind]


def _grounds_of_nothing(evidence: Evidence) -> list[str]:
    clusters = evidence.clusters
    return [
        f"{number(len(clusters.phrases))} phrases were compared with the rest of the corpus; none is carried by the "
        "least plausible responses more than phrases of clean data are.",
        *_rule(evidence),
        *_unexplained(evidence),
    ]


def _unexplained(evidence: Evidence) -> list[str]:
    return [
        f"The images explain hardly anything of what {number(kind.rows)} rows answer to {quoted(kind.instruction)}, "
        "and much more elsewhere. So it is where the model cannot do the task, and where an instruction of its own is "
        "the trigger, which no rule can tell apart: read some of these rows."
        for kind in unexplained(evidence.kinds)[:MOST_KINDS]
    ]


def _blind_spots(evidence: Evidence) -> list[str]:
    looked = evidence.run.statistic == EVIDENCE and TRIGGER in evidence.run.scores.values
    unless = ", unless its trigger can be seen in the images, or is words put into a common instruction" * looked
    spots = [
        f"A phrase in fewer than {evidence.clusters.least} rows, and a backdoor whose responses repeat no phrase"
        f"{unless}.",
        "Clean-label attacks: true responses beside altered images are plausible, and are not seen.",
        "Groups that stand out for a good reason (another language, boilerplate of one source) look like planted ones: "
        "read their rows before you accuse anybody.",
        "No probability is given: the scores are not calibrated against a clean data set of the same kind."
        if evidence.counts.expected is None
        else "The expected number takes phrases of clean data to differ as those of most data do; it says nothing of "
        "poisoned rows that are not flagged.",
    ]
    if evidence.run.earlier:
        spots.append(
            f"{number(evidence.run.earlier)} earlier answers of conversations, which were not scored: a trainer that "
            "learns every turn learns them; --turns all scores each."
        )
    spots += _uncompared(evidence.crowded, evidence.counts.rows)
    copies = int((evidence.run.scores.values.get(KIND, np.zeros(0)) == COPY).sum())
    if copies:
        spots.append(
            f"{number(copies)} rows are copies of others and count as one with them: a backdoor that is planted by "
            "many copies of three rows is not seen."
        )
    if evidence.simulation:
        spots += [f"Tried on these rows: {one.sentence}" for one in evidence.simulation.attacks if one.hidden]
    if evidence.findings:
        spots.append("Poisoned rows that do not share a phrase with others may be left when these are taken out.")
    if not {CONTRAST, ADAPTED_CONTRAST} & evidence.run.scores.values.keys():
        spots.append(
            "Whether responses depend on their images was not measured; --rule evidence does, with more passes."
        )
    return spots


def _uncompared(names: list[str], rows: int) -> list[str]:
    """Columns with too many values: nobody is named by them, and no gate either."""
    if not names:
        return []
    shown = ", ".join(map(quoted, names[:MOST_COLUMNS]))
    more = f" and {number(len(names) - MOST_COLUMNS)} more" if len(names) > MOST_COLUMNS else ""
    return [
        f"Where rows come from, as far as {shown}{more} would tell: columns with more than {most_values(rows)} values "
        "are not compared."
    ]
