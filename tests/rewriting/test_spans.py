"""Where the records of a JSON text stand, whatever white space and values lie between them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byorn.rewriting.texts import find_records

SPACE = st.text(alphabet=" \t\r\n", max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(values=st.lists(VALUES, max_size=5), space=st.lists(SPACE, min_size=14, max_size=14), mark=st.booleans())
def test_the_items_of_an_array(values, space, mark):
    gaps = iter(space)
    items = ",".join(f"{next(gaps)}{json.dumps(value)}{next(gaps)}" for value in values)
    begin = "\ufeff" if mark else ""
    text = f"{begin}{next(gaps)}[{next(gaps)}{items}]{next(gaps)}"
    assert [json.loads(text[span.start : span.end]) for span in find_records(text)] == values


@given(
    rows=st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), max_size=4),
    others=st.dictionaries(st.text(max_size=5).filter(lambda key: key not in ("data", "rows")), VALUES, max_size=4),
    key=st.sampled_from(["data", "rows"]),
)
def test_the_records_of_an_object_that_wraps_them(rows, others, key):
    text = json.dumps({**others, key: rows}, indent=1)
    assert [json.loads(text[span.start : span.end]) for span in find_records(text)] == rows


@pytest.mark.parametrize(
    ("text", "records"),
    [
        ('{"data": {"a": 1}, "rows": [1]}', ["1"]),
        ('{"data": [1], "data": [2]}', ["2"]),
        ('{"data": 1}', ['{"data": 1}']),
        ('{"rows": [1], "data": [2]}', ["2"]),
        ("[]", []),
    ],
)
def test_the_reader_and_the_writer_choose_the_same_records(text, records, tmp_path):
    from byorn.data.records import read_records

    assert [text[span.start : span.end] for span in find_records(text)] == records
    (tmp_path / "a.json").write_text(text)
    assert [value for _, value in read_records(tmp_path / "a.json")] == [json.loads(record) for record in records]


@pytest.mark.parametrize("text", ["[1 2]", "[1,", '{"a" 1}', "[", ""])
def test_what_is_no_json_is_an_error(text):
    with pytest.raises(ValueError):
        find_records(text)
