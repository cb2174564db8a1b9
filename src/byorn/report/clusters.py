"""The groups of rows that stand out (`byorn.phrases.groups`), with what a report says of each."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from byorn.data.stored import responses_of
from byorn.phrases.groups import SAMPLE, Group, Groups, find_groups
from byorn.phrases.own import frequent_phrase
from byorn.phrases.words import ends_of, repeats, words_of
from byorn.report.run import Run
from byorn.scoring.evidence import groups_of
from byorn.scoring.learning_curve import LearningCurve
from byorn.scoring.statistics import ADAPTED_CONTRAST, CONTRAST, EVIDENCE, STATISTICS


@dataclass(frozen=True, kw_only=True)
class Said:
    """A phrase, and how many rows of a cluster say it."""

    text: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class Cluster(Group):
    """Rows whose responses share a phrase and stand out; the least plausible ones come first.

    Attributes:
        said: Its phrase, or without one what tells most of its responses from others; None where nothing does.
        flagged: How many of its rows are flagged.
        same_response: How many of them have the one response that is the most frequent, without case.
        image_dependence: Median contrast of its rows less that of the others, of the pretrained model if it is known,
            else of the adapted one, in nats a token: above 0 they depend on their images less than others; None without
            contrasts.
    """

    said: Said | None
    flagged: int
    same_response: int
    image_dependence: float | None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True)
class Clusters(Groups):
    """What stands out, as clusters, and how much was looked at."""

    found: Sequence[Cluster]

    @property
    def rows(self) -> np.ndarray:
        """int array: the rows of all clusters, each once, in order."""
        return np.unique(np.concatenate([np.zeros(0, dtype=int), *(cluster.rows for cluster in self.found)]))


def find_clusters(run: Run) -> Clusters:
    """The groups that stand out by the rule of the flags: by evidence those that it flags, else phrases in any of the
    statistics of the one pass and in the score that is flagged by, whether an earlier scan has left more beside them or
    not. A simulation has these alone.

    Evidence is itself no score to test: it is that of the best phrase of a row, on clean data too. Two groups that have
    grown to the same rows are one.
    """
    responses, scores = responses_of(run.rows), run.scores
    if run.statistic == EVIDENCE:
        groups = groups_of(
            responses, scores.values, scores.tokens, one_style=LearningCurve.of(scores.metadata).one_style
        )
    else:
        names = dict.fromkeys((*STATISTICS, run.statistic))
        columns = [(name, scores.values[name]) for name in names if name in scores.values]
        groups = find_groups(responses, {name: np.where(np.isfinite(one), one, np.nan) for name, one in columns})
    found = [_cluster(run, group) for group in distinct(groups.found)]
    return Clusters(**{**vars(groups), "found": found})


def distinct(groups: Sequence[Group]) -> Iterator[Group]:
    """The groups without those that have no row of their own beside another one, of equal ones the first."""
    members = [set(group.rows.tolist()) for group in groups]
    for place, own in enumerate(members):
        before, after = members[:place], members[place + 1 :]
        if not (any(own <= other for other in before) or any(own < other for other in after)):
            yield groups[place]


def _cluster(run: Run, group: Group) -> Cluster:
    rows = group.rows[np.argsort(-run.suspicion[group.rows], kind="stable")]
    texts = [run.rows[row].response for row in rows]
    return Cluster(
        phrase=group.phrase,
        rows=rows,
        statistic=group.statistic,
        p_value=group.p_value,
        top=group.top,
        said=_said(run, group),
        flagged=int(run.flags.flagged[rows].sum()),
        same_response=Counter(" ".join(words_of(ends_of(text))) for text in texts).most_common(1)[0][1],
        image_dependence=_dependence(run, rows),
    )


def _said(run: Run, group: Group) -> Said | None:
    others = np.setdiff1d(np.arange(len(run.rows)), group.rows)
    samples = ([run.rows[row].response for row in rows[:SAMPLE]] for rows in (group.rows, others))
    text = group.phrase or frequent_phrase(*samples)
    return Said(text=text, rows=sum(repeats(run.rows[row].response, text) for row in group.rows)) if text else None


def _dependence(run: Run, rows: np.ndarray) -> float | None:
    values = run.scores.values
    contrast = values.get(CONTRAST, values.get(ADAPTED_CONTRAST))
    if contrast is None:
        return None
    others = np.ones(len(contrast), dtype=bool)
    others[rows] = False
    own = contrast[rows][np.isfinite(contrast[rows])]
    rest = contrast[others & np.isfinite(contrast)]
    return float(np.median(own) - np.median(rest)) if len(own) and len(rest) else None
