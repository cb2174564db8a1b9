"""How much speaks against a response: what its own scores say, and those of all rows that share a phrase with it.

    e_i = -log10 of the smaller of  n Pr(N > u_i)  and  the corrected p-value of the best group of rows with i
    u_i = robust z of clip(z(adapted_i)) + clip(z(adapted_contrast_i)),      z(v) = (v - median) / (1.4826 MAD)

A row that is hard to believe on its own is seldom a backdoor, and one row is hardly learned; many that say the same
are. So only a group that stands out (`byorn.phrases.growth`) reaches `THRESHOLD`; below it e ranks the other rows.
So does a group whose images share a pattern while they give no reason for its phrase (`byorn.scoring.shortcut`),
however plausible it is. Where all rows have one style (`Course.one_style`), pretrained likelihood, adapted one and
contrast are looked at alone, too. Where there are several, either finds styles, and only what is unusual in both of the
adapted model's scores is a planted response. No torch here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from byorn.data.row import Row
from byorn.data.stored import responses_of
from byorn.phrases.enrichment import combined, enrichment, ranks_of
from byorn.phrases.groups import Groups, find_groups
from byorn.phrases.growth import grown
from byorn.scoring.contrast import contrast_of
from byorn.scoring.course import Course
from byorn.scoring.shortcut import named, shortcuts
from byorn.scoring.statistics import ADAPTED, ADAPTED_CONTRAST, EVIDENCE, SHORTCUT
from byorn.scoring.table import Scores

LEVEL = 0.001
"""How often a group of a clean data set may stand out by chance, of either kind: by scores, and by shortcuts."""
KINDS = 2
LOOKED_AT = ("nll", ADAPTED, ADAPTED_CONTRAST)
TOGETHER = (ADAPTED, ADAPTED_CONTRAST)
"""What is looked at as one, too: a planted response is unusual in both."""
THRESHOLD = float(-np.log10(LEVEL))
BELOW = THRESHOLD - 1e-6
"""What a row comes to at most that is in no group that stands out."""
MOST_GROUPS = 16
LEAST = 1e-300
_CLIP = 6.0


def evidence_of(responses: Sequence[str], values: Mapping[str, np.ndarray], *, one_style: bool) -> np.ndarray:
    """e, float64 array [n]: higher is less plausible, any sign; NaN where a row has no score.

    Args:
        responses: n texts.
        values: `nll`, `adapted` and `adapted_contrast`, float64 arrays [n]; -inf or NaN says nothing; and `shortcut`
            where it is known.
        one_style: Whether each is looked at alone, too.
    """
    known = _known(values)
    groups = groups_of(responses, values, one_style=one_style)
    found = np.minimum(BELOW, np.maximum(_alone(known), _together(groups, known, _tested(one_style))))
    for group in groups.found:
        found[group.rows] = np.maximum(found[group.rows], -np.log10(max(group.p_value, LEAST)))
    return np.where(np.isnan(known[ADAPTED]), np.nan, found)


def groups_of(responses: Sequence[str], values: Mapping[str, np.ndarray], *, one_style: bool) -> Groups:
    """The groups that stand out, with every row that reaches `THRESHOLD` by them; arguments as of `evidence_of`."""
    known = _known(values)
    groups = find_groups(responses, known, tested=_tested(one_style), level=LEVEL, most=MOST_GROUPS)
    groups = grown(groups, responses, known, together=TOGETHER, level=LEVEL)
    if SHORTCUT not in values:
        return groups
    return replace(groups, found=[*groups.found, *named(responses, values[SHORTCUT], known[ADAPTED])])


def _known(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.where(np.isfinite(values[name]), values[name], np.nan) for name in LOOKED_AT}


def _tested(one_style: bool) -> list[tuple[str, ...]]:
    return [*((name,) for name in LOOKED_AT if one_style), TOGETHER]


def _alone(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """-log10 of n Pr(N > u): what a row's own scores say."""
    from scipy.stats import norm

    total = _z(values[ADAPTED]) + np.nan_to_num(_z(values[ADAPTED_CONTRAST]))
    return np.asarray(-(norm.logsf(np.nan_to_num(_z(total))) / np.log(10)) - np.log10(max(1, len(total))))


def _z(values: np.ndarray) -> np.ndarray:
    """Distance from the median in robust standard deviations, at most `_CLIP`; NaN stays."""
    if not np.isfinite(values).any():
        return np.full(len(values), np.nan)
    away = values - np.nanmedian(values)
    return np.asarray(np.clip(away / (1.4826 * np.nanmedian(np.abs(away)) + 1e-9), -_CLIP, _CLIP))


def _together(groups: Groups, values: Mapping[str, np.ndarray], tested: Sequence[Sequence[str]]) -> np.ndarray:
    """-log10 of the corrected p-value of the best phrase of each row; -inf where it shares none."""
    phrases = groups.phrases
    everything, null = np.ones(len(values[ADAPTED]), dtype=bool), np.ones(len(phrases), dtype=bool)
    best = np.full(len(everything), -np.inf)
    found = {name: enrichment(phrases, ranks_of(column, everything)) for name, column in values.items()}
    for names in tested:
        p_values = combined([found[name] for name in names], null)
        of_rows = np.repeat(p_values, phrases.supports) * groups.tests
        np.maximum.at(best, phrases.rows, -np.log10(np.maximum(LEAST, of_rows)))
    return best


def with_evidence(
    scores: Scores,
    adapted: Scores,
    swapped: Scores,
    pairs: Sequence[tuple[int, int]],
    rows: Sequence[Row],
    course: Course,
) -> Scores:
    """The scores with the columns `adapted`, `adapted_contrast`, `shortcut` and `evidence`.

    Args:
        scores: Of all rows under the pretrained model.
        adapted: Of all rows under the model that was adapted to the other fold.
        swapped: The same for the rows of `pairs` with their partners' images.
        pairs: Row and partner.
        rows: All rows.
        course: Of the adaptation.
    """
    contrast = contrast_of(adapted.nll, swapped.nll, pairs)
    values = {**scores.values, ADAPTED: adapted.nll, ADAPTED_CONTRAST: contrast}
    if adapted.words and swapped.words:
        values[SHORTCUT] = shortcuts(rows, adapted.words, swapped.words, pairs, LEVEL)
    found = replace(scores, values=values, metadata={**scores.metadata, **course.as_metadata()})
    return judged(found, responses_of(rows))


def judged(scores: Scores, responses: Sequence[str]) -> Scores:
    """The scores with the column `evidence`: a function of the others, of the responses, and of how the adaptation
    went, which the metadata tell.
    """
    found = evidence_of(responses, scores.values, one_style=Course.of(scores.metadata).one_style)
    return replace(scores, values={**scores.values, EVIDENCE: found})
