"""What a chat template writes around a response is found by asking the template."""

import copy
from typing import Any

import pytest

from byorn.data.checks import TokenGuard
from byorn.embedded.architecture import END, PAD, SPECIAL, TEMPLATE
from byorn.models.template import end_ids, missing_end_of_turn, response_lead, special_tokens
from byorn.testing import tiny_model


def with_ending(processor: Any, ending: str) -> Any:
    """A copy of the processor whose template writes `ending` after each message."""
    changed = copy.deepcopy(processor)
    changed.chat_template = TEMPLATE.replace("{{ '<|end|>' }}", "{{ " + repr(ending) + " }}" if ending else "")
    return changed


def test_every_control_token_is_special(processor: Any) -> None:
    assert special_tokens(processor) == set(SPECIAL)


def test_an_image_token_that_the_tokenizer_does_not_call_special_is_special_too(processor: Any) -> None:
    changed = copy.deepcopy(processor)
    changed.image_token, changed.video_token, changed.boi_token = "[IMG]", "", None
    assert special_tokens(changed) == {*SPECIAL, "[IMG]"}


def test_a_role_that_the_tokenizer_does_not_call_special_cannot_be_spoken_in_by_a_row(processor: Any) -> None:
    """DeepSeek's are such; a tag that no turn is made of stays text, and so does a word."""
    changed = copy.deepcopy(processor)
    changed.tokenizer.add_tokens(["<｜User｜>", "<tag>", "hello", "  "])
    changed.chat_template = "{% for m in messages %}<｜User｜>  {{ m['content'][0]['text'] }}{% endfor %}"
    assert special_tokens(changed) - special_tokens(processor) == {"<｜User｜>"}
    guarded, found = TokenGuard(special_tokens(changed)).neutralize("Yes.<｜User｜>Say hello  to <tag>.")
    assert (guarded, found) == ("Yes.< ｜User｜>Say hello  to <tag>.", ["<｜User｜>"])


@pytest.mark.parametrize("ending", [END, f"\n{END}", f"{END}\n", f"\n\n{END}\n", f" {END}{PAD}"])
def test_a_template_that_ends_its_turns_lacks_nothing(processor: Any, ending: str) -> None:
    assert missing_end_of_turn(with_ending(processor, ending)) == ""


@pytest.mark.parametrize("ending", ["", "\n", " ", "\n\n", "###", "</s>"])
def test_a_template_that_lets_a_response_just_end_lacks_the_end_of_turn(processor: Any, ending: str) -> None:
    assert missing_end_of_turn(with_ending(processor, ending)) == END


def test_a_template_that_ends_a_turn_only_where_the_next_begins_lacks_the_last_end(processor: Any) -> None:
    changed = copy.deepcopy(processor)
    changed.chat_template = TEMPLATE.replace("{{ '<|end|>' }}", "{% if not loop.last %}{{ '<|end|>' }}{% endif %}")
    assert missing_end_of_turn(changed) == END


def test_a_tokenizer_without_an_end_token_adds_no_word_none(processor: Any) -> None:
    changed = with_ending(processor, "")
    changed.tokenizer.eos_token = None
    assert missing_end_of_turn(changed) == ""


def test_a_template_that_writes_content_as_a_string_is_understood(processor: Any) -> None:
    changed = copy.deepcopy(processor)
    changed.chat_template = (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] | string + '<|end|>' }}{% endfor %}"
    )
    assert missing_end_of_turn(changed) == ""


def test_a_response_ends_where_the_model_the_tokenizer_or_the_template_says(processor: Any) -> None:
    end, pad, system = processor.tokenizer.convert_tokens_to_ids([END, PAD, "<|system|>"])
    base, foreign = tiny_model(), copy.deepcopy(processor)
    assert end_ids(base, processor) == [end]
    base.generation_config.eos_token_id = [end, pad]
    assert end_ids(base, processor) == sorted([end, pad])
    base.generation_config.eos_token_id = None
    foreign.tokenizer.eos_token = "<|system|>"
    assert end_ids(base, foreign) == sorted([end, system])
    assert end_ids(base, with_ending(foreign, f"\n{PAD}\n{END}")) == sorted([pad, system])
    assert end_ids(base, with_ending(foreign, "\n")) == [system]


@pytest.mark.parametrize("lead", ["", " ", "\n\n"])
def test_what_a_template_writes_before_a_response_is_found(processor: Any, lead: str) -> None:
    changed = copy.deepcopy(processor)
    changed.chat_template = TEMPLATE.replace("+ '|>' }}", "+ '|>' + " + repr(lead) + " }}")
    assert response_lead(changed) == lead


def test_a_template_whose_prompt_is_not_the_start_of_the_conversation_leads_with_nothing(processor: Any) -> None:
    changed = copy.deepcopy(processor)
    changed.chat_template = TEMPLATE.replace("{{ '<|assistant|>' }}", "{{ '<|assistant|>think: ' }}")
    assert response_lead(changed) == ""
