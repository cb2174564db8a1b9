"""Words put into instructions: what an instruction is without them, and whose instructions they were put into.

An insertion is a run of words without which an instruction is another row's. Instructions of over `MOST_WORDS` words
are not looked at.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

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


def without(words: Words) -> Iterator[tuple[Words, Words]]:
    """Each run of words, and what is left of the instruction without it."""
    for start in range(len(words) if len(words) <= MOST_WORDS else 0):
        for end in range(start + 1, min(start + LONGEST, len(words)) + 1):
            yield words[start:end], words[:start] + words[end:]


def stripped(instructions: Sequence[str], flagged: Sequence[bool]) -> dict[str, str]:
    """Instruction of flagged rows -> the instruction of other rows that it is without the words put into it.

    An insertion counts where at least `LEAST_ROWS` rows with it and `LEAST_FLAGGED` of them are flagged, and chance
    would not do that. A trigger that honest rows have too is left in: they teach what it means.
    """
    counts = Counter(instructions)
    bad = Counter(text for text, flag in zip(instructions, flagged, strict=True) if flag)
    trusted = {asked_words(text): text for text, count in reversed(counts.most_common()) if bad[text] < count / 2}
    found: dict[Words, dict[str, str]] = defaultdict(dict)
    for text, _ in counts.most_common(MOST_TEXTS):
        for insertion, rest in without(asked_words(text)):
            if rest in trusted:
                found[insertion].setdefault(text, trusted[rest])
    share = bad.total() / max(1, counts.total())
    planted = [texts for texts in found.values() if _planted(texts, counts, bad, share, len(found))]
    planted.sort(key=lambda texts: sum(map(bad.__getitem__, texts)))
    return {text: rest for texts in planted for text, rest in texts.items() if bad[text]}


def _planted(texts: dict[str, str], counts: Counter[str], bad: Counter[str], share: float, looked_at: int) -> bool:
    from scipy.special import bdtrc

    rows, flagged = (sum(count[text] for text in texts) for count in (counts, bad))
    if flagged < LEAST_ROWS or flagged < LEAST_FLAGGED * rows:
        return False
    return bool(looked_at * bdtrc(flagged - 1, rows, share) < LEVEL)
