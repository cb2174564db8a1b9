"""A conversation -> canonical rows: one for each scored assistant turn.

Order matters: texts are repaired and `<image>` markers become blocks first (`lay_out`), then the content is hashed for
an id, and only then special tokens are broken, so that the id does not depend on the model.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from byorn.data.checks import TokenGuard, repair
from byorn.data.conversation import Conversation, lay_out
from byorn.data.images import find_image, image_identity, resolver
from byorn.data.problem import RowProblem
from byorn.data.row import ImageFile, Message, Origin, Row, text_of

MAX_ID = 512
_SUFFIX = 12  # characters left for the number of a copy
MAX_TURNS = (
    500  # scored ones of a conversation: each row repeats what comes before it, so time and memory are quadratic
)
NEUTRALIZED = "byorn_neutralized"
DROPPED_TAIL = "conversation(s) ended without an answer to learn: the messages after the last one were dropped"
EARLIER = "earlier answer(s) of conversations are context alone, neither scored nor learned; with turns: all each is"
TOKENS_IN_RESPONSE = "response(s) held special tokens: broken by a space"
TOKENS_IN_PROMPT = "prompt(s) held special tokens: broken by a space"
RENAMED = "row(s) repeated an id: #2, #3, ... appended"


@dataclass
class Canonicalizer:
    """Turn conversations into rows and remember the ids that are taken.

    Args:
        turns: `last`: one row for the last assistant turn; `all`: one row for each.
        guard: Breaks special tokens.
        max_chars: Longest conversation, in characters.
        tally: Counts what was changed, by its description.
    """

    turns: str
    guard: TokenGuard
    max_chars: int
    tally: Counter[str]
    _taken: set[bytes] = field(default_factory=set)
    _copies: Counter[str] = field(default_factory=Counter)
    _resolve: Callable[[str], str] = field(default_factory=resolver)

    def rows(self, conversation: Conversation, roots: Sequence[Path], origin: Origin) -> list[Row]:
        """The rows of one conversation, in the order of its turns.

        Args:
            conversation: What a reader made of a record.
            roots: Resolved folders that images may lie in.
            origin: Where the record comes from.

        Raises:
            RowProblem: the record cannot be used; no id is taken then.
        """
        messages, raw_images = lay_out(conversation, self.tally)
        images = [find_image(image, roots, self._resolve) for image in raw_images]
        self._check_length(messages)
        scored = self._scored_turns(conversation, messages)
        name = _name_of(conversation, messages, images)
        tokens = self._neutralize(messages)
        return self._cut(conversation, messages, images, scored, name, tokens, origin)

    def _check_length(self, messages: list[Message]) -> None:
        length = sum(len(text_of(message)) for message in messages)
        if length > self.max_chars:
            raise RowProblem(
                "messages", f"{length} characters, over max_chars = {self.max_chars}", "shorten or split it"
            )

    def _scored_turns(self, conversation: Conversation, messages: list[Message]) -> list[int]:
        """Where the scored assistant messages stand."""
        answers = _answers(conversation, messages)
        for place in answers:
            if not text_of(messages[place]).strip():
                raise RowProblem(f"messages[{place}]", "the response is empty", "write a response or drop the row")
        if answers[-1] < len(messages) - 1:
            self.tally[DROPPED_TAIL] += 1
        if self.turns == "all" and len(answers) > MAX_TURNS:
            reason = f"{len(answers)} responses, over the limit MAX_TURNS = {MAX_TURNS}"
            raise RowProblem("messages", reason, "split the conversation, or score its last turn alone")
        scored = answers if self.turns == "all" else answers[-1:]
        for place in scored:
            _require_asked(messages, place)
        if len(scored) < len(answers):
            self.tally[EARLIER] += len(answers) - len(scored)
        return scored

    def _neutralize(self, messages: list[Message]) -> list[list[str]]:
        """Break special tokens in place and return those found, by message."""
        found = []
        for message in messages:
            message["content"], tokens = self.guard.neutralize_blocks(message["content"])
            found.append(tokens)
        return found

    def _cut(
        self,
        conversation: Conversation,
        messages: list[Message],
        images: list[ImageFile],
        scored: list[int],
        name: str,
        tokens: list[list[str]],
        origin: Origin,
    ) -> list[Row]:
        roles = [message["role"] for message in messages]
        numbers = {place: _turn_number(conversation, roles, place) for place in scored}
        name = self._unused(name, list(numbers.values()))
        rows = []
        for place, number in numbers.items():
            prompt = messages[:place]
            shown = sum(block["type"] == "image" for message in prompt for block in message["content"])
            meta = self._meta(conversation.meta, tokens[: place + 1])
            rows.append(Row(name, number, prompt, text_of(messages[place]), images[:shown], meta, origin))
        return rows

    def _meta(self, meta: dict[str, object], tokens: list[list[str]]) -> dict[str, object]:
        found = [token for message in tokens for token in message]
        if not found:
            return meta
        if tokens[-1]:
            self.tally[TOKENS_IN_RESPONSE] += 1
        if any(tokens[:-1]):
            self.tally[TOKENS_IN_PROMPT] += 1
        before = meta.get(NEUTRALIZED)
        return {**meta, NEUTRALIZED: list(dict.fromkeys([*(before if isinstance(before, list) else []), *found]))}

    def _unused(self, name: str, numbers: list[int]) -> str:
        candidate = name
        while any(_digest(candidate, number) in self._taken for number in numbers):
            self._copies[name] += 1
            candidate = f"{name[: MAX_ID - _SUFFIX]}#{self._copies[name] + 1}"
        if candidate != name:
            self.tally[RENAMED] += 1
        self._taken.update(_digest(candidate, number) for number in numbers)
        return candidate


def _answers(conversation: Conversation, messages: list[Message]) -> list[int]:
    """Where the assistant messages stand that may be learned."""
    first_user = next((place for place, message in enumerate(messages) if message["role"] == "user"), len(messages))
    start = max(conversation.scored_from, first_user)
    answers = [place for place in range(start, len(messages)) if messages[place]["role"] == "assistant"]
    if not answers:
        raise RowProblem("messages", "no assistant response after a user message", "add the response")
    learned = [place for place in answers if conversation.turns[place].learned]
    if not learned:
        reason = "each assistant message has weight 0 or loss false, so none is to be learned"
        raise RowProblem("messages", reason, "drop the row, or give weight 1 to the message to learn")
    return learned


def _require_asked(messages: list[Message], place: int) -> None:
    """Refuse a response that follows no user message: TRL fails on one after `system`, and of one after a response it
    scores and learns the end of the first and the role of the second, too.
    """
    role = messages[place - 1]["role"]
    if role != "user":
        reason = f"a response right after a message of role {role}, and not after a user's"
        raise RowProblem(f"messages[{place}]", reason, "put the messages in order, or join the responses")


def _digest(name: str, number: int) -> bytes:
    """What is kept of a key that is taken: a third of the memory."""
    return blake2b(f"{number} {name}".encode(), digest_size=12).digest()


def user_id(value: object) -> str | None:
    """The user's id as text; None where there is none, or one that is longer than `MAX_ID`."""
    if isinstance(value, str):
        return repair(value) if 0 < len(value) <= MAX_ID else None
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 10 ** (MAX_ID - 1):
        return None
    return str(value)


def _turn_number(conversation: Conversation, roles: list[str], place: int) -> int:
    return roles[:place].count("assistant") if conversation.turn is None else conversation.turn


def _name_of(conversation: Conversation, messages: list[Message], images: list[ImageFile]) -> str:
    """The user's id, else a hash of texts and images that is the same on every machine."""
    given = user_id(conversation.id)
    if given is not None:
        return given
    content = [[message["role"], message["content"]] for message in messages]
    text = json.dumps([content, [image_identity(image) for image in images]], sort_keys=True)
    return blake2b(text.encode(), digest_size=8).hexdigest()
