"""Strategies for what stands in data sets: values, records of every format, and damage to the bytes of a file."""

from typing import Any

from hostile import IMAGES, TEXTS
from hypothesis import strategies as st

Strategy = st.SearchStrategy[Any]

SMALL_IMAGES = sorted(
    set(IMAGES) - {"text bomb", "profile bomb", "pixel bomb", "flat", "animated webp", "animated png", "animated gif"}
)
hostile_texts = st.sampled_from(list(TEXTS.values()))
texts = st.one_of(
    st.sampled_from(["What is it?", "A red box.", "<image>What is it?", "a.png"]), hostile_texts, st.text(max_size=20)
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.sampled_from([2**63, -(2**63) - 1, 10**400]), st.floats(), texts
)
names = st.sampled_from(
    ["id", "role", "content", "from", "value", "type", "text", "image", "url", "path", "bytes", "base64", "tool_calls"]
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.one_of(names, texts), inner, max_size=4)),
    max_leaves=12,
)
files = st.one_of(st.sampled_from([f"{name}.png" for name in SMALL_IMAGES]), hostile_texts)
images = st.one_of(
    files, st.lists(files, max_size=3), st.fixed_dictionaries({"path": files, "bytes": st.none()}), values
)
roles = st.sampled_from(["user", "assistant", "system", "human", "gpt", "tool", "function_call", "observation", ""])
blocks = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, texts),
    st.builds(lambda image: {"type": "image", "image": image}, images),
    st.builds(lambda url: {"type": "image_url", "image_url": url}, values),
    values,
)
contents = st.one_of(texts, st.lists(blocks, max_size=4), values)


def turns(role: str, content: str) -> Strategy:
    """A chat with the names of its two keys; sound ones, and others."""
    turn = st.fixed_dictionaries({role: roles, content: contents})
    sound = st.tuples(texts, texts).map(
        lambda said: [{role: name, content: text} for name, text in zip(("user", "assistant"), said, strict=True)]
    )
    return st.one_of(sound, st.lists(turn, max_size=5), values)


RECORDS: dict[str, dict[str, Strategy]] = {
    "llava": {"conversations": turns("from", "value"), "image": images},
    "sharegpt": {"messages": turns("role", "content"), "images": images, "system": texts, "tools": values},
    "alpaca": {
        "instruction": texts,
        "input": texts,
        "output": texts,
        "history": st.one_of(st.lists(st.lists(texts, min_size=2, max_size=2), max_size=2), values),
        "images": images,
    },
    "trl": {
        "prompt": st.one_of(texts, turns("role", "content")),
        "completion": contents,
        "images": images,
        "turn": scalars,
    },
    "captions": {"question": texts, "answer": texts, "image": images},
}
MORE = st.one_of(
    names, texts, st.sampled_from(["images", "videos", "audio", "byorn_meta", "byorn_neutralized", "references"])
)


@st.composite
def records(draw: st.DrawFn) -> Any:
    """A record of some format, perhaps with a column lost, spoiled or added; or something else altogether."""
    if draw(st.integers(0, 19)) == 0:
        return draw(values)
    columns = RECORDS[draw(st.sampled_from(sorted(RECORDS)))]
    record = draw(st.fixed_dictionaries({"id": scalars, **columns}))
    for name in draw(st.lists(st.sampled_from(sorted(record)), max_size=2, unique=True)):
        if draw(st.booleans()):
            del record[name]
        else:
            record[name] = draw(values)
    return record | draw(st.dictionaries(MORE, values, max_size=2))


_damages = st.lists(
    st.tuples(
        st.sampled_from(["cut", "flip", "number", "remove", "repeat", "insert"]),
        st.floats(0, 1),
        st.one_of(st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**15]), st.integers(0, 2**32 - 1)),
    ),
    max_size=4,
)
damages = st.one_of(st.just([]), _damages)


def damaged(content: bytes, damage: list[tuple[str, float, int]]) -> bytes:
    """The bytes, each damage (what, where as a share, a number) done in order."""
    for kind, share, number in damage:
        place = int(share * len(content))
        length = 1 + number % 16
        if kind == "cut":
            content = content[:place]
        elif kind == "flip" and place < len(content):
            content = content[:place] + bytes([content[place] ^ (1 << number % 8)]) + content[place + 1 :]
        elif kind == "number":
            place -= place % 4
            content = content[:place] + number.to_bytes(4, "little") + content[place + 4 :]
        elif kind == "remove":
            content = content[:place] + content[place + length :]
        elif kind == "repeat":
            content = content[:place] + content[place : place + length] * 3 + content[place + length :]
        elif kind == "insert":
            content = content[:place] + number.to_bytes(4, "little") * 2 + content[place:]
    return content
