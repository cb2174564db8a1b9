"""From conversations to rows: which turns are scored, and what each row sees."""

import pytest

from byorn.data.load import load_rows
from byorn.errors import ConfigError, DataError


def chat(*texts):
    roles = ["user", "assistant"] * len(texts)
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]


def test_last_scores_the_last_answer_and_all_scores_each(save, picture):
    picture("a.png"), picture("b.png")
    path = save([{"id": "c", "images": ["a.png", "b.png"], "messages": chat("<image>1?", "one", "<image>2?", "two")}])

    [last] = load_rows(path).rows
    first, second = load_rows(path, turns="all").rows

    assert last == second
    assert (first.key, second.key) == (("c", 0), ("c", 1))
    assert (first.response, second.response) == ("one", "two")
    assert [image.name for image in first.images] == ["a.png"]
    assert [image.name for image in second.images] == ["a.png", "b.png"]
    assert len(second.prompt) == 3


def test_answers_that_nobody_scores_are_counted_where_a_conversation_has_several(save):
    """LLaVA and LLaMA-Factory learn them all, and the default here takes the last."""
    path = save([{"messages": chat("1?", "one", "2?", "two", "3?", "three")}, {"messages": chat("4?", "four")}])
    loaded = load_rows(path)
    assert loaded.earlier == 2
    assert any(note.startswith("2 earlier answer(s) of conversations are context alone") for note in loaded.notes)

    every = load_rows(path, turns="all")
    assert every.earlier == 0
    assert not any("earlier answer" in note for note in every.notes)


def test_a_question_without_an_answer_at_the_end_is_dropped_and_noted(save, picture):
    picture("a.png"), picture("b.png")
    path = save([{"images": ["a.png", "b.png"], "messages": chat("<image>1?", "one", "<image>2?")}])
    loaded = load_rows(path)
    assert loaded.rows[0].response == "one"
    assert [image.name for image in loaded.rows[0].images] == ["a.png"]
    assert any("without an answer" in note for note in loaded.notes)


def test_only_the_completion_of_a_prompt_and_completion_row_is_scored(save):
    record = {"prompt": chat("1?", "one", "2?"), "completion": [{"role": "assistant", "content": "two"}]}
    [row] = load_rows(save([record]), turns="all").rows
    assert (row.turn, row.response) == (1, "two")


def test_a_turn_number_names_one_answer_and_never_two(save):
    one = {"id": "c", "turn": 7, "prompt": "1?", "completion": chat("1?", "one")[1:]}
    two = {"id": "d", "turn": 7, "prompt": "1?", "completion": chat("1?", "one", "2?", "two")[1:]}
    rows = load_rows(save([one, two]), turns="all").rows
    assert [(row.key, row.response) for row in rows] == [(("c", 7), "one"), (("d", 0), "one"), (("d", 1), "two")]
    assert rows[1].meta == {"turn": 7}


def test_a_greeting_before_the_first_question_is_context_not_a_scored_turn(save):
    messages = [{"role": "assistant", "content": "Hello!"}, *chat("1?", "one")]
    [row] = load_rows(save([{"messages": messages}]), turns="all").rows
    assert (row.turn, row.response) == (1, "one")


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_a_response_that_answers_no_user_is_rejected_before_it_stops_a_run(role, save):
    """TRL raises at the first kind, in the middle of scoring; of the second it learns what lies between them."""
    messages = [*chat("1?"), {"role": role, "content": "in between"}, {"role": "assistant", "content": "two"}]
    later = [*messages, *chat("3?", "three")]
    loaded = load_rows(save([{"messages": messages}, {"messages": later}]))
    assert [row.response for row in loaded.rows] == ["three"]
    assert f"right after a message of role {role}" in loaded.rejects[0].reason
    assert loaded.rejects[0].field == "messages[2]"


def test_a_conversation_without_any_answer_is_rejected(save):
    rejects = load_rows(save([{"messages": chat("1?", "one")}, {"messages": chat("alone")}])).rejects
    assert "no assistant response" in rejects[0].reason


def test_a_conversation_of_thousands_of_turns_is_not_repeated_in_thousands_of_rows(save):
    path = save([{"messages": chat("Hi", "Ho")}, {"messages": chat(*["a"] * 20_000)}])
    loaded = load_rows(path, turns="all")
    assert len(loaded.rows) == 1
    assert "10000 responses, over the limit MAX_TURNS = 500" in loaded.rejects[0].reason
    assert len(load_rows(path).rows) == 2


def test_ids_are_the_users_own_or_a_hash_that_does_not_move(save, picture, tmp_path):
    picture("a.png")
    records = [
        {"id": 7, "messages": chat("1?", "one")},
        {"images": [str(tmp_path / "a.png")], "messages": chat("2?", "two")},
    ]
    here = load_rows(save(records)).rows
    picture("elsewhere/a.png")
    records[1]["images"] = ["a.png"]
    there = load_rows(save(records, "elsewhere/data.json"), special_tokens=["two"]).rows
    assert here[0].id == "7"
    assert here[1].id == there[1].id
    assert len(here[1].id) == 16


def test_repeated_ids_are_numbered_and_noted(save):
    records = [{"id": "x", "messages": chat("1?", text)} for text in ("a", "b", "c")]
    records.append({"id": "x#2", "messages": chat("1?", "d")})
    loaded = load_rows(save(records))
    assert [row.id for row in loaded.rows] == ["x", "x#2", "x#3", "x#2#2"]
    assert any(note.startswith("3 row(s) repeated an id") for note in loaded.notes)


def test_two_equal_records_without_ids_stay_two_rows(save):
    first, second = load_rows(save([{"messages": chat("1?", "one")}] * 2)).rows
    assert second.id == f"{first.id}#2"


def test_user_columns_are_kept_to_the_end(save):
    columns = {"uploader": "eve", "scores": [1, 2.5, None], "nested": {"a": {"b": True}}}
    assert load_rows(save([{"messages": chat("1?", "one"), **columns}])).rows[0].meta == columns


def test_limit_reads_the_first_records_only(save):
    assert len(load_rows(save([{"messages": chat("1?", str(n))} for n in range(5)]), limit=2).rows) == 2


@pytest.mark.parametrize("wrong", [{"turns": "each"}, {"verify_images": "maybe"}, {"limit": 0}])
def test_wrong_options_are_named(wrong, save):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        load_rows(save([{"messages": chat("1?", "one")}]), **wrong)


def test_an_unknown_format_lists_the_formats_and_the_columns_found(save):
    path = save([{"weird": 1, "columns": 2}])
    with pytest.raises(DataError, match=r"unknown format 'nope'; use one of auto, trl, llava.*'columns', 'weird'"):
        load_rows(path, format="nope")
    with pytest.raises(DataError, match=r"no known format \(columns found: 'columns', 'weird'\)"):
        load_rows(path)


@pytest.mark.parametrize("never", [False, 0])
def test_a_message_of_weight_0_is_context_and_not_learned(never, save):
    one, two = ({"role": "assistant", "content": text} for text in ("one", "two"))
    silent = [{"role": "user", "content": "1?"}, one, {"role": "user", "content": "2?"}, {**two, "weight": 0}]
    unlearned = [{"role": "user", "content": "1?"}, {**one, "loss": never}, {"role": "user", "content": "2?"}, two]

    last = load_rows(save([{"messages": silent}]))
    [row] = load_rows(save([{"messages": unlearned}]), turns="all").rows

    assert [row.response for row in last.rows] == ["one"]
    assert any("without an answer to learn" in note for note in last.notes)
    assert (row.response, row.turn, len(row.prompt)) == ("two", 1, 3)


@pytest.mark.parametrize(
    ("weight", "said"), [(0, "each assistant message has weight 0"), (0.5, "weight 0.5; write 0"), ("0", "weight '0'")]
)
def test_a_weight_that_leaves_nothing_to_learn_or_says_nothing_is_rejected(weight, said, save):
    messages = [{"role": "user", "content": "1?"}, {"role": "assistant", "content": "one", "weight": weight}]
    with pytest.raises(DataError, match=said):
        load_rows(save([{"messages": messages}]))
