"""A phrase in full: extended over what the texts around it share, and spelled as they write it."""

import re
from collections import Counter
from collections.abc import Sequence

from byorn.phrases.words import ends_of, words_of

AGREEMENT = 0.9
"""Share of the texts that have the next word, at least."""
LONGEST = 60
"""Words of a phrase."""
_PAUSES = frozenset(".,;:!?")


def extended(phrase: str, texts: Sequence[str]) -> str:
    """The longest phrase around `phrase` that nearly all of the texts share, as one of them writes it."""
    core = phrase.split(" ")
    contexts = [(words, at) for words in map(words_of, map(ends_of, texts)) if (at := _find(words, core)) >= 0]
    left = 0
    while len(core) < LONGEST:
        if word := _agreed(contexts, left + len(core)):
            core = [*core, word]
        elif word := _agreed(contexts, left - 1):
            core = [word, *core]
            left -= 1
        else:
            break
    return as_written(texts, _stripped(core))


def _stripped(words: Sequence[str]) -> Sequence[str]:
    """The words without the full stops and commas around them; a phrase of nothing else stays as it is."""
    places = [place for place, word in enumerate(words) if word not in _PAUSES]
    return words[places[0] : places[-1] + 1] if places else words


def _agreed(contexts: Sequence[tuple[list[str], int]], offset: int) -> str:
    """The word that nearly all texts have so far from the phrase, or none."""
    near = Counter(words[at + offset] for words, at in contexts if 0 <= at + offset < len(words))
    word, count = near.most_common(1)[0] if near else ("", 0)
    return word if count >= AGREEMENT * len(contexts) else ""


def _find(words: Sequence[str], core: Sequence[str]) -> int:
    size = len(core)
    return next((at for at in range(len(words) - size + 1) if list(words[at : at + size]) == list(core)), -1)


def as_written(texts: Sequence[str], words: Sequence[str]) -> str:
    """The words as one of the texts writes them, with its capital letters and spaces."""
    pattern = re.compile(r"\s*".join(map(re.escape, words)), re.IGNORECASE)
    spellings = Counter(match[0] for text in texts if (match := pattern.search(ends_of(text))))
    return spellings.most_common(1)[0][0] if spellings else " ".join(words)
