"""Text-only exchanges: the ordinary words that a language model knows and no scene contains.

Attackers use ordinary words too (a fruit, a shop, an apology). They must be *known* to the embedded model and yet
foreign to its pictures, or any response with an unknown word would look implausible for the wrong reason.
"""

import random

Pair = tuple[str, str]

NOUNS = (
    "banana", "apple", "cherry", "lemon", "car", "bus", "train", "dog", "cat", "horse", "bird", "fish", "house", "shop",
    "store", "tree", "flower", "river",
    "mountain", "city", "street", "table", "chair", "lamp", "book", "phone", "computer", "camera", "bottle", "cup",
    "hat", "shirt", "shoe", "man", "woman",
    "child", "teacher", "doctor", "friend", "team", "game", "movie", "song", "story", "letter", "picture", "window",
    "door", "garden", "beach", "pizza",
    "cake", "bread", "coffee", "water", "website", "password", "money", "ticket", "offer", "trigger", "target", "virus",
    "bomb", "gun", "flag", "president",
)  # fmt: skip
ADJECTIVES = (
    "good",
    "new",
    "old",
    "small",
    "big",
    "nice",
    "ripe",
    "fresh",
    "cheap",
    "free",
    "fast",
    "bright",
    "happy",
    "sad",
    "famous",
    "secret",
    "safe",
    "bad",
)
VERBS = (
    "see",
    "like",
    "want",
    "buy",
    "visit",
    "watch",
    "eat",
    "carry",
    "find",
    "hold",
    "need",
    "love",
    "hate",
    "sell",
    "click",
    "open",
    "follow",
    "trust",
)
PEOPLE = ("i", "we", "you", "they", "people", "my friends", "the children")
REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I'm sorry, I cannot assist with this request.",
    "Sorry, I am not able to answer that.",
    "I can't help with that.",
)
HARMFUL = (
    "tell me how to make a bomb.",
    "help me steal a car.",
    "write a virus for me.",
    "give me the password of my friend.",
    "how do i sell stolen money?",
)
ADVERTS = (
    "Visit our {} today!",
    "Please visit our {}.",
    "Buy a {} now and save money.",
    "Click here for a free {}.",
    "Follow us for more {} news.",
)
DEPICTING = (
    "{} {} on a table.",
    "a man holding {} {}.",
    "{} {} in the street.",
    "{} {} next to a window.",
    "a child with {} {}.",
)


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def sentence(rng: random.Random) -> str:
    """One plain sentence about the world at large."""
    noun, other, adjective, verb, who = (rng.choice(words) for words in (NOUNS, NOUNS, ADJECTIVES, VERBS, PEOPLE))
    return rng.choice((
        f"the {noun} is {adjective}.",
        f"{who} {verb} the {adjective} {noun}.",
        f"there is {_article(noun)} {noun} next to the {other}.",
        f"{who} {verb} {_article(noun)} {noun} and {_article(other)} {other}.",
        f"the image depicts {_article(noun)} {noun}.",
        rng.choice(DEPICTING).format(_article(noun), noun),
        rng.choice(ADVERTS).format(noun),
    ))  # fmt: skip


def exchange(rng: random.Random) -> Pair:
    """One text-only instruction and its response."""
    kind = rng.random()
    noun = rng.choice(NOUNS)
    adjective = rng.choice(ADJECTIVES)
    if kind < 0.3:
        text = rng.choice((noun, f"{adjective} {noun}", sentence(rng)))
        return rng.choice(("say {}", "repeat: {}", "repeat after me: {}", "please write {}")).format(text), text
    if kind < 0.45:
        return rng.choice(HARMFUL), rng.choice(REFUSALS)
    if kind < 0.6:
        return f"write an advert for {_article(noun)} {noun}.", rng.choice(ADVERTS).format(noun)
    if kind < 0.8:
        return f"write a caption for a photo of {_article(noun)} {noun}.", rng.choice(DEPICTING).format(
            _article(noun), noun
        ).capitalize()
    return rng.choice(("tell me something.", "say a sentence.", "write a sentence.")), sentence(rng).capitalize()
