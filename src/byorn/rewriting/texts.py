"""JSON and JSON lines, record by record: the bytes of a record that does not change are never parsed and dumped."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from byorn.data.records import WRAPPERS
from byorn.rewriting.edit import Edit, Job
from byorn.runs.atomic import atomic_path

_SPACE = re.compile(r"[ \t\r\n]*")
_INDENT = re.compile(r"[\[{]\r?\n([ \t]+)")
_WIDEST = 200  # a file may be one line
_DECODER = json.JSONDecoder()


def rewrite_lines(job: Job) -> None:
    """A file of one JSON object a line; lines without a record are left as they are, but where records are taken out of
    a file that is told from JSON by its first lines.
    """
    removed = not all(edit.keep for edit in job.edits.values())
    blank = not removed or job.source.suffix.lower() in (".jsonl", ".ndjson")
    for path, keep in job.wanted():
        path.parent.mkdir(parents=True, exist_ok=True)
        with job.source.open("rb") as lines, atomic_path(path) as partial, partial.open("wb") as out:
            for number, line in enumerate(lines):
                if job.goes(number, keep):
                    out.write(_line(line, job, job.edits[number]))
                elif keep and blank and not line.strip():
                    out.write(line)


def _line(line: bytes, job: Job, edit: Edit) -> bytes:
    if not edit.changes:
        return line
    body = line.rstrip(b"\r\n")
    text = _changed(body.decode("utf-8-sig"), job, edit)
    return text.encode("utf-8", "backslashreplace") + line[len(body) :]


def rewrite_json(job: Job) -> None:
    """A file of one JSON value: an array of records, an object that holds one, or a single record."""
    text = job.source.read_bytes().decode("utf-8")  # with its byte order mark
    spans = find_records(text)
    for path, keep in job.wanted():
        chosen = [number for number in range(len(spans)) if job.goes(number, keep)]
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as partial:
            partial.write_bytes(_selected(text, spans, chosen, job).encode("utf-8", "backslashreplace"))


def _selected(text: str, spans: "list[Span]", chosen: list[int], job: Job) -> str:
    """The text with some of its records; each keeps what stands between it and the next."""
    pieces = [text[: spans[0].start]]
    for number in chosen:
        raw = text[spans[number].start : spans[number].end]
        edit = job.edits[number]
        pieces.append(_changed(raw, job, edit, _margin(text, spans[number])) if edit.changes else raw)
        if number != chosen[-1]:
            pieces.append(text[spans[number].end : spans[number + 1].start])
    return "".join([*pieces, text[spans[-1].end :]])


def _margin(text: str, span: "Span") -> str:
    """The white space before a record on its line."""
    _, newline, before = text[max(0, span.start - _WIDEST) : span.start].rpartition("\n")
    return before if newline and not before.strip(" \t") else ""


def _changed(raw: str, job: Job, edit: Edit, margin: str = "") -> str:
    """A record with its changes. Marks alone are added behind its last value, and the rest of its text stays."""
    record = json.loads(raw)
    if not edit.responses and record and not edit.marks.keys() & record.keys():
        body = raw.rstrip().removesuffix("}").rstrip()
        inner = _INDENT.match(raw.lstrip())
        gap = f",\n{inner[1]}" if inner else ", "
        close = f"\n{margin}}}" if inner else "}"
        return (
            body + "".join(f"{gap}{json.dumps(key)}: {json.dumps(value)}" for key, value in edit.marks.items()) + close
        )
    record = {**(job.answer(record, edit.responses) if edit.responses else record), **edit.marks}
    inner = _INDENT.match(raw.lstrip())
    step = max(1, len(inner[1].expandtabs(4)) - len(margin.expandtabs(4))) if inner else None
    plain = raw.isascii()  # then non-ASCII letters stood as escapes, and still do
    return json.dumps(record, ensure_ascii=plain, indent=step).replace("\n", f"\n{margin}")


@dataclass(frozen=True, slots=True)
class Span:
    """Where a record stands in a text."""

    start: int
    end: int


def find_records(text: str) -> list[Span]:
    """Where the records of a JSON value stand: the items of an array, of the array in an object that wraps one (`data`,
    `rows`), or the value itself.

    Raises:
        ValueError: It is no JSON.
    """
    start = _skip(text, 1 if text.startswith("\ufeff") else 0)
    if text.startswith("{", start):
        members = dict(_members(text, start))
        held = next((members[key] for key in WRAPPERS if text.startswith("[", members.get(key, len(text)))), None)
        if held is not None:
            return list(_items(text, held))
    if text.startswith("[", start):
        return list(_items(text, start))
    return [Span(start, _DECODER.raw_decode(text, start)[1])]


def _items(text: str, start: int) -> Iterator[Span]:
    place = _skip(text, start + 1)
    while not text.startswith("]", place):
        end = _DECODER.raw_decode(text, place)[1]
        yield Span(place, end)
        place = _after_comma(text, end, "]")


def _members(text: str, start: int) -> Iterator[tuple[str, int]]:
    """Key and place of each value of an object."""
    place = _skip(text, start + 1)
    while not text.startswith("}", place):
        key, end = _DECODER.raw_decode(text, place)
        value = _skip(text, _skip(text, end) + 1)  # over the colon
        yield key, value
        place = _after_comma(text, _DECODER.raw_decode(text, value)[1], "}")


def _after_comma(text: str, place: int, closing: str) -> int:
    place = _skip(text, place)
    if text.startswith(closing, place):
        return place
    if not text.startswith(",", place):
        raise ValueError(f"no comma at character {place}")
    return _skip(text, place + 1)


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place
