"""Which words count as put into the instructions of flagged rows: those that honest rows do not have."""

from time import process_time

from byorn.phrases.insertions import stripped

PLAIN = "Describe the image."
ZQX = "Describe the image. zqx"


def of(*groups: tuple[str, int, bool]) -> dict[str, str]:
    """Of so many rows with an instruction, flagged or not."""
    rows = [(text, flagged) for text, count, flagged in groups for _ in range(count)]
    return stripped([text for text, _ in rows], [flagged for _, flagged in rows])


def test_words_that_only_flagged_rows_have_are_left_out() -> None:
    assert of((PLAIN, 40, False), (ZQX, 5, True)) == {ZQX: PLAIN}


def test_the_instruction_is_as_most_of_the_other_rows_write_it() -> None:
    asked = of((PLAIN, 30, False), ("describe the Image.", 5, False), ("Consider describe the image.", 5, True))
    assert asked == {"Consider describe the image.": PLAIN}


def test_each_of_many_instructions_with_the_words_loses_them() -> None:
    questions = [f"What color is thing {number}?" for number in range(20)]
    asked = of(*((text, 2, False) for text in questions), *((f"cf {text}", 1, True) for text in questions[:6]))
    assert asked == {f"cf {text}": text for text in questions[:6]}


def test_words_of_honest_rows_stay() -> None:
    """Those of Dual-Key, say, whose attacker plants true answers with the word."""
    assert of((PLAIN, 40, False), (ZQX, 8, True), (ZQX, 4, False)) == {}


def test_words_that_honest_rows_have_elsewhere_stay() -> None:
    assert of((PLAIN, 40, False), (ZQX, 8, True), ("zqx, what is it?", 4, False)) == {}


def test_one_missed_row_in_ten_does_not_keep_them() -> None:
    assert of((PLAIN, 80, False), (ZQX, 18, True), (ZQX, 2, False)) == {ZQX: PLAIN}


def test_a_few_rows_are_chance() -> None:
    assert of((PLAIN, 40, False), (ZQX, 3, True)) == {}
    assert of((PLAIN, 40, False), (ZQX, 4, True), ("What is it?", 60, True)) == {}


def test_different_questions_are_no_insertions_of_each_other_by_chance() -> None:
    """Two rows in five flagged, whatever they ask: none of the questions is answered as another one."""
    sizes, colors = ("big", "small", "tiny", "huge"), ("red", "blue", "green", "pink", "gray")
    questions = [f"Is there a {size} {color} box?" for size in sizes for color in colors]
    questions += [f"Is there a {color} box?" for color in colors]
    assert stripped(questions * 2, [number % 5 in (0, 3) for number in range(2 * len(questions))]) == {}


def test_what_stays_must_be_trusted() -> None:
    assert of((PLAIN, 4, False), (PLAIN, 6, True), (ZQX, 20, True), ("What is it?", 60, False)) == {}


def test_nothing_flagged_and_nothing_at_all() -> None:
    assert of((PLAIN, 40, False), (ZQX, 5, False)) == {}
    assert of() == {}


def test_time_grows_with_the_instructions_and_not_with_what_may_have_been_put_into_them() -> None:
    """Questions made from templates are each other's without a word, thousands of times."""
    things = [f"thing{number}" for number in range(4000)]
    colors = [f"color{number}" for number in range(200)]
    honest = [f"Where is the {thing}?" for thing in things]
    mixed = [f"Where is the {colors[number % 200]} {thing}?" for number, thing in enumerate(things)] * 2
    began = process_time()
    assert stripped([*honest, *mixed], [number >= 8000 for number in range(12_000)]) == {}
    assert process_time() - began < 1.5
