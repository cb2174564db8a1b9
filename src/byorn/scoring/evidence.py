"""How much speaks against a response: what its own scores say, and those of all rows that share a phrase with it.

    e_i = -log10 of the smaller of  n Pr(N > u_i)  and  the corrected p-value of the best group of rows with i
    u_i = robust z of clip(z(adapted_i)) + clip(z(adapted_contrast_i)),      z(v) = (v - median) / (1.4826 MAD)

medians and ranks being those of rows of one kind (`byorn.scoring.kinds`), since a data set is often a mixture of tasks;
of a row and its copies one is compared. Where responses are labels (classes, yes and no), each is a style of its own,
but for one that the pretrained model would not give (`byorn.scoring.answers`).

A row that is hard to believe on its own is seldom a backdoor, and one row is hardly learned; many that say the same
are. So only a group that stands out (`byorn.phrases.growth`) reaches `THRESHOLD`; below it e ranks the other rows.
So does a group whose inputs share what does not explain its responses (`byorn.scoring.spurious`), however plausible
these are. Where all rows have one style (`LearningCurve.one_style`), pretrained likelihood, adapted one and contrast
are looked at alone, too. Where there are several, either finds styles, and only what is unusual in both of the adapted
model's scores is a planted response. No torch here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from byorn.data.row import Row
from byorn.data.stored import responses_of
from byorn.phrases.enrichment import LEAST_P, combined
from byorn.phrases.groups import Groups, find_groups
from byorn.phrases.growth import grown
from byorn.scoring.answers import answers_of
from byorn.scoring.contrast import contrast_of
from byorn.scoring.kinds import COPY, within
from byorn.scoring.learning_curve import LearningCurve
from byorn.scoring.spurious import FINDERS
from byorn.scoring.spurious.group_column import named
from byorn.scoring.spurious.scored_rows import ScoredRows
from byorn.scoring.statistics import ADAPTED, ADAPTED_CONTRAST, EVIDENCE, KIND, SPURIOUS
from byorn.scoring.table import Scores

LEVEL = 0.001
"""How often a group of a clean data set may stand out by chance, each way."""
WAYS = 1 + len(FINDERS)
"""By scores, and by what inputs share."""
LOOKED_AT = ("nll", ADAPTED, ADAPTED_CONTRAST)
TOGETHER = (ADAPTED, ADAPTED_CONTRAST)
"""What is looked at as one, too: a planted response is unusual in both."""
THRESHOLD = float(-np.log10(LEVEL))
BELOW = THRESHOLD - 0.01
"""What a row comes to at most that is in no group that stands out; it reads as less than the threshold."""
MOST_GROUPS = 16
_CLIP = 6.0


def evidence_of(
    responses: Sequence[str], values: Mapping[str, np.ndarray], tokens: np.ndarray, *, one_style: bool
) -> np.ndarray:
    """e, float64 array [n]: higher is less plausible, any sign; NaN where a row has no score.

    Args:
        responses: n texts.
        values: `nll`, `adapted` and `adapted_contrast`, float64 arrays [n]; -inf or NaN says nothing; `kind` and
            the columns of `byorn.scoring.spurious` where they are known.
        tokens: Of the responses, int array [n].
        one_style: Whether each is looked at alone, too.
    """
    groups = groups_of(responses, values, tokens, one_style=one_style)
    found = np.minimum(BELOW, np.maximum(_alone(values), _together(groups, _tested(one_style), len(responses))))
    for group in groups.found:
        found[group.rows] = np.maximum(found[group.rows], -np.log10(max(group.p_value, LEAST_P)))
    return np.where(np.isfinite(values[ADAPTED]), found, np.nan)


def groups_of(
    responses: Sequence[str], values: Mapping[str, np.ndarray], tokens: np.ndarray, *, one_style: bool
) -> Groups:
    """The groups that stand out, with every row that reaches `THRESHOLD` by them; arguments as of `evidence_of`."""
    known, kinds = placed(values), _kinds(values)
    answers = answers_of(responses, kinds, values["nll"], tokens)
    singly, tested = ~answers.labels, _tested(one_style)
    if not one_style and answers.unexpected.any():
        singly, tested = answers.unexpected, [("nll",), *tested]
    groups = find_groups(
        responses,
        known,
        kinds=kinds,
        tested=tested,
        singly=singly,
        labels=answers.labels,
        level=LEVEL,
        most=MOST_GROUPS,
    )
    groups = grown(groups, responses, known, kinds, together=TOGETHER, level=LEVEL)
    columns = [(name, values[name]) for name in SPURIOUS if name in values]
    further = [group for name, column in columns for group in named(responses, name, column, known[ADAPTED], kinds)]
    return replace(groups, found=[*groups.found, *further])


def placed(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What is looked at, each value as its place among rows of its kind; NaN says nothing."""
    return {name: within(values[name], _kinds(values)) for name in LOOKED_AT}


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


def _kinds(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """int array [n]; of scores that are older than kinds: one."""
    return np.asarray(values.get(KIND, np.zeros(len(values[ADAPTED]))), dtype=int)


def _tested(one_style: bool) -> list[tuple[str, ...]]:
    return [*((name,) for name in LOOKED_AT if one_style), TOGETHER]


def _alone(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """-log10 of n Pr(N > u): what a row's own scores say."""
    from scipy.special import log_ndtr

    adapted, contrast = (_z(_finite(values[name]), _kinds(values)) for name in TOGETHER)
    total = _z(adapted + np.nan_to_num(contrast), _kinds(values))
    return np.asarray(-(log_ndtr(-np.nan_to_num(total)) / np.log(10)) - np.log10(max(1, len(total))))


def _z(values: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Distance from the median of its kind in robust standard deviations, at most `_CLIP`; NaN stays."""
    found = np.full(len(values), np.nan)
    for kind in np.unique(kinds):
        if (members := (kinds == kind) & ~np.isnan(values)).any():
            away = values[members] - np.median(values[members])
            found[members] = away / (1.4826 * np.median(np.abs(away)) + 1e-9)
    return np.asarray(np.clip(found, -_CLIP, _CLIP))


def _together(groups: Groups, tested: Sequence[Sequence[str]], count: int) -> np.ndarray:
    """-log10 of the corrected p-value of the best phrase of each of the `count` rows; -inf where it shares none."""
    phrases, null = groups.phrases, np.ones(len(groups.phrases), dtype=bool)
    best = np.full(count, -np.inf)
    for names in tested:
        p_values = combined([groups.enrichments[name] for name in names], null)
        of_rows = np.repeat(p_values, phrases.supports) * groups.tests
        np.maximum.at(best, phrases.rows, -np.log10(np.maximum(LEAST_P, of_rows)))
    return best


def with_evidence(
    scores: Scores,
    adapted: Scores,
    swapped: Scores,
    pairs: Sequence[tuple[int, int]],
    rows: Sequence[Row],
    curve: LearningCurve,
) -> Scores:
    """The scores with the columns `kind`, `adapted`, `adapted_contrast`, those of `byorn.scoring.spurious`, and
    `evidence`.

    Args:
        scores: Of all rows under the pretrained model.
        adapted: Of all rows under the model that was adapted to the other fold.
        swapped: The same for the rows of `pairs` with their partners' images.
        pairs: Row and partner.
        rows: All rows.
        curve: Of the adaptation.
    """
    scored = ScoredRows(
        rows=rows,
        nll=adapted.nll,
        contrast=contrast_of(adapted.nll, swapped.nll, pairs),
        word_costs=adapted.words,
        swapped_word_costs=dict(zip((row for row, _ in pairs), swapped.words, strict=True)) if swapped.words else {},
    )
    kinds = np.where(scored.copies, COPY, scored.kinds).astype(float)
    values = {**scores.values, KIND: kinds, ADAPTED: scored.nll, ADAPTED_CONTRAST: scored.contrast}
    for name, find in FINDERS.items():
        if (column := find(scored, LEVEL)) is not None:
            values[name] = column
    found = replace(scores, values=values, metadata={**scores.metadata, **curve.as_metadata()})
    return judged(found, responses_of(rows))


def judged(scores: Scores, responses: Sequence[str]) -> Scores:
    """The scores with the column `evidence`: a function of the others, of the responses, and of how the adaptation
    went, which the metadata tell.
    """
    found = evidence_of(responses, scores.values, scores.tokens, one_style=LearningCurve.of(scores.metadata).one_style)
    return replace(scores, values={**scores.values, EVIDENCE: found})
