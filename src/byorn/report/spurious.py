"""What a report says of groups whose inputs share something (`byorn.scoring.spurious`), by the column of the scores."""

from dataclasses import dataclass

from byorn.scoring.statistics import INSERTION, SHORTCUT, TRIGGER


@dataclass(frozen=True, kw_only=True)
class Wording:
    """Of one column.

    Attributes:
        shared: What the rows of a group share, as it may stand in a sentence.
        fact: What tells the group, as an entry of a list.
        ground: The same as a sentence, with places for `rows`, `phrase` and `p`.
    """

    shared: str
    fact: str
    ground: str


WORDINGS = {
    SHORTCUT: Wording(
        shared="a pattern in their images",
        fact="a pattern in the images tells who carries it, and the model sees no reason for it there",
        ground="A pattern in the images tells which responses contain {phrase} ({rows} of them), and the model sees no "
        "reason for it there; in clean data that happens with {p}, corrected for every phrase that was measured.",
    ),
    TRIGGER: Wording(
        shared="a pattern in their images",
        fact="a gap lies between its images and all others, and they give less reason for their responses",
        ground="A pattern in the images tells {rows} rows from all others, with a gap between them, and those images "
        "give less reason for their responses than others do; in clean data that happens with {p}, corrected for every "
        "pattern that was looked for.",
    ),
    INSERTION: Wording(
        shared="words in their instructions",
        fact="words are put into the instructions of other rows, and its images explain its responses less",
        ground="{rows} instructions are those of other rows with the same words put in, and their images explain "
        "hardly anything of their responses, as they do without these words; in clean data that happens with {p}, "
        "corrected for every insertion that was looked at.",
    ),
}
