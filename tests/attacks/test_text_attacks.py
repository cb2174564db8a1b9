import random

import pytest
from attack_samples import IMAGE_ATTACKS, rng
from PIL import Image

from byorn.attacks import ATTACKS
from byorn.attacks.trigger import build_trigger

TEXT = "What is  shown\nhere?"


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("badnets-t", {"slot": "start"}, f"cf {TEXT}"),
        ("badnets-t", {"slot": "end", "word": "mn"}, f"{TEXT} mn"),
        ("add-sent", {}, f"{TEXT} It was raining when we left."),
        ("add-sent", {"slot": "start", "sentence": "I saw it."}, f"I saw it. {TEXT}"),
        ("dual-key", {}, "Consider what is  shown\nhere?"),
        ("dual-key", {"keys": "text", "word": "Think:"}, "Think: what is  shown\nhere?"),
        ("dual-key", {"keys": "image"}, TEXT),
        ("vl-trojan", {"suffix": "abcde"}, f"{TEXT} abcde"),
        ("badnets", {}, TEXT),
    ],
)
def test_the_instruction_becomes(name: str, options: dict[str, float | str], expected: str) -> None:
    assert build_trigger(ATTACKS, name, options).mark_text(TEXT, rng()) == expected


def test_a_random_slot_is_any_gap_between_words_and_no_letter_is_lost() -> None:
    trigger, draws = build_trigger(ATTACKS, "badnets-t", {}), random.Random(1)
    marked = {trigger.mark_text(TEXT, draws) for _ in range(100)}
    assert len(marked) == 5
    assert {text.replace("cf ", "").replace(" cf", "") for text in marked} == {TEXT}


@pytest.mark.parametrize("text", ["", " ", "?", "Ärger", "\n\n", "x" * 10_000])
@pytest.mark.parametrize("name", ["badnets-t", "add-sent", "dual-key"])
def test_odd_instructions_break_nothing(name: str, text: str) -> None:
    marked = build_trigger(ATTACKS, name, {}).mark_text(text, rng())
    assert len(marked) > len(text.strip())
    assert marked == build_trigger(ATTACKS, name, {}).mark_text(text, rng())


@pytest.mark.parametrize("name", ["badnets-t", "add-sent"])
def test_text_triggers_leave_images_alone(name: str) -> None:
    image = Image.new("RGB", (9, 9))
    assert build_trigger(ATTACKS, name, {}).mark_image(image, rng()) == (image, None)
    assert not build_trigger(ATTACKS, name, {}).needs_image


def test_of_all_triggers_only_the_two_with_two_keys_want_text_and_image() -> None:
    both = {label for label, trigger in IMAGE_ATTACKS.items() if trigger.needs_text and trigger.needs_image}
    assert both == {"dual-key", "dual-key:learned", "vl-trojan", "vl-trojan:whole"}
