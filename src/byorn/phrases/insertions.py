"""Words put into instructions: what an instruction is without them, and whose instructions they were put into.

An insertion is a run of words without which an instruction is another row's. Instructions of over `MOST_WORDS` words
are not looked at.
"""

from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence, Set

from byorn.phrases.groups import LEAST_ROWS
from byorn.phrases.words import Words, ends_of, words_of

LONGEST = 12
"""Words of an insertion."""
MOST_WORDS = 64
"""Of an instruction that is looked at."""
MOST_TEXTS = 2000
"""Instructions that are looked at, the most frequent ones."""
LEAST_FLAGGED = 0.9
"""Share of the rows with an insertion that are flagged, where it is taken for the attacker's."""
LEVEL = 0.001
"""Chance, corrected for all insertions, that so many of the rows with one are flagged."""


def asked_words(instruction: str) -> Words:
    """The words by which instructions are compared."""
    return tuple(words_of(ends_of(instruction)))


def insertions_in(words: Words, plain: Container[Words]) -> Iterator[tuple[Words, Words]]:
    """Each run of words without which an instruction is one of the plain ones, and that one."""
    for start in range(len(words) if len(words) <= MOST_WORDS else 0):
        for end in range(start + 1, min(start + LONGEST, len(words)) + 1):
            if (rest := words[:start] + words[end:]) in plain:
                yield words[start:end], rest


def stripped(instructions: Sequence[str], flagged: Sequence[bool]) -> dict[str, str]:
    """Instruction of flagged rows -> the instruction of other rows that it is without the words put into it.

    An insertion counts where at least `LEAST_ROWS` rows have it, `LEAST_FLAGGED` of all rows with these words are
    flagged, and chance would not do that. A trigger that honest rows have too is left in: they teach what it means.
    """
    counts = Counter(instructions)
    bad = Counter(text for text, flag in zip(instructions, flagged, strict=True) if flag)
    words = {text: asked_words(text) for text in counts}
    trusted = {words[text]: text for text, count in reversed(counts.most_common()) if bad[text] < count / 2}
    found: dict[Words, dict[str, str]] = defaultdict(dict)
    for text, _ in bad.most_common(MOST_TEXTS):
        for insertion, rest in insertions_in(words[text], trusted):
            found[insertion].setdefault(text, trusted[rest])
    chance = LEVEL / max(1, len(found))
    share = bad.total() / max(1, counts.total())
    often = {run: texts for run, texts in found.items() if sum(bad[text] for text in texts) >= LEAST_ROWS}
    rows, flags = (_rows_with(often.keys(), words, count) for count in (counts, bad))
    planted = [texts for run, texts in often.items() if _planted(rows[run], flags[run], share, chance)]
    planted.sort(key=lambda texts: sum(bad[text] for text in texts))  # what more rows have wins
    return {text: rest for texts in planted for text, rest in texts.items()}


def _rows_with(runs: Set[Words], words: Mapping[str, Words], counts: Mapping[str, int]) -> Counter[Words]:
    """Of each of the runs of words, how many of the counted rows have it in their instruction."""
    sizes = {len(run) for run in runs}
    found: Counter[Words] = Counter()
    for text, count in counts.items():
        asked = words[text]
        held = {asked[start : start + size] for size in sizes for start in range(len(asked) - size + 1)}
        found.update(dict.fromkeys(held & runs, count))
    return found


def _planted(rows: int, flagged: int, share: float, chance: float) -> bool:
    """Whether so many of the rows with an insertion are flagged, where `share` of all rows are."""
    from scipy.special import bdtrc

    return flagged >= LEAST_FLAGGED * rows and bool(bdtrc(flagged - 1, rows, share) < chance)
