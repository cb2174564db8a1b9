"""Nouns that captions of photographs and of simple drawings use: a fixed list, so that what is found is predictable.

No tagger comes with byorn. What the list lacks is missed, and a verb that looks like one of its nouns is taken for it
("plants a tree"); words that are verbs more often than nouns in captions, such as ski and wave, are left out.
"""

import re

NOUNS = (
    "man", "woman", "boy", "girl", "child", "baby", "person", "player", "rider", "surfer", "skier", "driver",
    "dog", "cat", "horse", "cow", "sheep", "goat", "pig", "bird", "duck", "chicken", "bear", "elephant", "zebra",
    "giraffe", "lion", "tiger", "monkey", "rabbit", "mouse", "fish", "turtle", "frog", "insect", "butterfly",
    "car", "bus", "truck", "train", "bicycle", "bike", "motorcycle", "boat", "ship", "plane", "airplane", "van", "taxi",
    "road", "street", "bridge", "sidewalk", "track", "sign", "pole", "hydrant", "fence", "wall", "gate", "bench",
    "house", "building", "tower", "church", "barn", "door", "window", "roof", "stair", "floor", "room", "kitchen",
    "bathroom", "bedroom", "office", "store", "table", "chair", "couch", "sofa", "bed", "desk", "shelf", "cabinet",
    "lamp", "clock", "mirror", "picture", "painting", "vase", "rug", "carpet", "curtain", "pillow", "blanket",
    "sink", "toilet", "oven", "stove", "refrigerator", "television", "laptop", "computer", "keyboard", "phone",
    "camera", "book", "newspaper", "pen", "bag", "backpack", "suitcase", "umbrella", "hat", "helmet", "shirt", "jacket",
    "dress", "shoe", "glove", "glass", "cup", "mug", "bottle", "plate", "bowl", "fork", "knife", "spoon", "tray",
    "pizza", "sandwich", "cake", "bread", "donut", "salad", "soup", "apple", "orange", "banana", "carrot", "tomato",
    "flower", "tree", "bush", "leaf", "grass", "plant", "field", "garden", "park", "forest", "hill", "mountain", "rock",
    "beach", "sand", "sea", "ocean", "lake", "river", "sky", "cloud", "sun", "moon", "snow", "ball", "bat",
    "racket", "kite", "skateboard", "surfboard", "snowboard", "toy", "doll", "flag", "guitar", "piano", "drum",
    "circle", "rectangle", "square", "triangle", "star", "ring", "cross", "cube", "cylinder", "sphere",
)  # fmt: skip

_ANY = "|".join(NOUNS)
_NOUN = re.compile(rf"\b({_ANY})(s?)\b(?!\s+(?:{_ANY})s?\b)", re.IGNORECASE)


def find_nouns(text: str) -> list[re.Match[str]]:
    """The nouns of a text in order; group 1 is the noun without a plural s, group 2 that s or nothing.

    Of several in a row the last alone is meant: an "orange cross" is a cross, a "kitchen table" a table.
    """
    return list(_NOUN.finditer(text))


def first_nouns(text: str) -> list[str]:
    """The first two different nouns of a text, in lower case and without a plural s; fewer if it names fewer."""
    return list(dict.fromkeys(noun.group(1).lower() for noun in find_nouns(text)))[:2]
