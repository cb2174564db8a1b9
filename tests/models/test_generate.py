"""Responses are what the model itself would say, token by token, in any batch, and never a special token."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import LogitsProcessor

from byorn.data.dataset import to_dataset
from byorn.data.row import Row, user_message
from byorn.embedded.architecture import END, TEMPLATE
from byorn.errors import ModelError
from byorn.models.generate import encode_prompts, generate, generate_bounded
from byorn.models.template import special_tokens
from byorn.testing import tiny_model, tiny_rows


def prompts() -> Any:
    """Text alone, one image, two images, and a conversation: one batch."""
    red, blue = (row.images[0] for row in tiny_rows(2))
    answered: Any = {"role": "assistant", "content": [{"type": "text", "text": "red"}]}
    return to_dataset([
        Row("text", 0, [user_message("say a color, any color that you like")], "green"),
        Row("one", 0, [user_message("what?", 1)], "red", [red]),
        Row("two", 0, [user_message("which two?", 2)], "red and blue", [red, blue]),
        Row("turns", 1, [user_message("what?", 1), answered, user_message("sure?")], "yes", [blue]),
    ])  # fmt: skip


class Adding(LogitsProcessor):
    """Adds to the logits of some tokens, at one step or at all."""

    def __init__(self, bonus: dict[int, float], step: int | None = None) -> None:
        self.bonus, self.step, self.steps = bonus, step, -1

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        scores = scores.clone()
        if self.step in (None, self.steps):
            for token, bonus in self.bonus.items():
                scores[:, token] += bonus
        return scores


def biased(processor: Any, tokens: set[str], bias: float) -> Any:
    """A tiny model that wants to say these tokens, or hates to."""
    model = tiny_model(processor=processor)
    weight = model.lm_head.weight.detach().clone()
    model.lm_head = torch.nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        model.lm_head.weight.copy_(weight)
        model.lm_head.bias.zero_()
        model.lm_head.bias[processor.tokenizer.convert_tokens_to_ids(sorted(tokens))] = bias
    return model


@pytest.fixture
def produced(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[torch.Tensor]]:
    """Keeps what `model.generate` returns, prompt and padding included."""

    def watch(model: Any) -> list[torch.Tensor]:
        outputs, real = [], model.generate

        def watched(**kwargs: Any) -> torch.Tensor:
            outputs.append(real(**kwargs))
            return outputs[-1]

        monkeypatch.setattr(model, "generate", watched)
        return outputs

    return watch


@torch.no_grad()
def greedy_by_hand(model: Any, processor: Any, sample: Any, steps: int) -> list[int]:
    """The most likely token again and again, with a whole forward pass for each and no padding."""
    inputs = encode_prompts(processor, [sample])
    banned = processor.tokenizer.convert_tokens_to_ids(sorted(special_tokens(processor) - {END}))
    ids: list[int] = []
    while len(ids) < steps and processor.tokenizer.eos_token_id not in ids:
        logits = model(**inputs).logits[0, -1]
        logits[banned] = -torch.inf
        ids.append(int(logits.argmax()))
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([[ids[-1]]])], dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    return ids


def test_a_mixed_batch_says_what_each_prompt_alone_would_get(model: Any, processor: Any) -> None:
    samples = list(prompts())
    together = generate(model, processor, samples, max_new_tokens=12)
    for sample, response in zip(samples, together, strict=True):
        by_hand = greedy_by_hand(model, processor, sample, 12)
        assert response.text == processor.tokenizer.decode(by_hand, skip_special_tokens=True)
        assert [response] == generate(model, processor, [sample], max_new_tokens=12)
    assert len({response.text for response in together}) > 1


def test_the_padding_is_on_the_left_whatever_the_tokenizer_says(processor: Any) -> None:
    right = copy.deepcopy(processor)
    right.tokenizer.padding_side = "right"
    mask = encode_prompts(right, list(prompts()))["attention_mask"]
    assert mask[:, -1].all()
    assert not mask[:, 0].all()


def test_special_tokens_are_never_said(processor: Any, produced: Any) -> None:
    model = biased(processor, special_tokens(processor) - {END}, 1000.0)
    outputs = produced(model)
    samples = list(prompts())
    responses = generate(model, processor, samples, max_new_tokens=6)
    length = encode_prompts(processor, samples)["input_ids"].shape[1]
    said = set(outputs[0][:, length:].flatten().tolist())
    assert said.isdisjoint(processor.tokenizer.convert_tokens_to_ids(sorted(special_tokens(processor) - {END})))
    assert all(response.tokens == 6 and response.truncated for response in responses)


def test_a_response_that_never_ends_is_truncated(processor: Any) -> None:
    [response] = generate(biased(processor, {END}, -1000.0), processor, [prompts()[0]], max_new_tokens=5)
    assert (response.tokens, response.truncated) == (5, True)


def test_a_response_that_ends_at_once_is_empty_and_whole(processor: Any) -> None:
    responses = generate(biased(processor, {END}, 1000.0), processor, list(prompts()), max_new_tokens=5)
    assert [(response.text, response.tokens, response.truncated) for response in responses] == [("", 0, False)] * 4


def test_a_response_that_ends_exactly_at_the_limit_is_whole(processor: Any) -> None:
    model, end = biased(processor, {END}, -1000.0), processor.tokenizer.eos_token_id
    whole, cut = (
        generate(
            model, processor, [prompts()[1]], max_new_tokens=limit, logits_processor=[Adding({end: 2000.0}, step=3)]
        )[0]
        for limit in (4, 3)
    )
    assert (whole.tokens, whole.truncated) == (3, False)
    assert (cut.tokens, cut.truncated, cut.text) == (3, True, whole.text)


def test_the_space_that_the_template_writes_before_a_response_is_not_said_twice(model: Any, processor: Any) -> None:
    """Else a response that is learned and sampled again would begin with one more space each time."""
    spaced = copy.deepcopy(processor)
    spaced.chat_template = TEMPLATE.replace("+ '|>' }}", "+ '|>' + ' ' }}")
    [space] = processor.tokenizer(" ", add_special_tokens=False)["input_ids"]
    for template, text in ((processor, " "), (spaced, "")):
        [response] = generate(
            model, template, [prompts()[0]], max_new_tokens=1, logits_processor=[Adding({space: 2000.0})]
        )
        assert (response.text, response.tokens) == (text, 1)


def test_rows_of_a_batch_may_end_at_different_steps(processor: Any) -> None:
    class EndRow(LogitsProcessor):
        """Ends row i of the batch at step i."""

        step = -1

        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            self.step += 1
            scores = scores.clone()
            scores[self.step, processor.tokenizer.eos_token_id] = 2000.0
            return scores

    model = biased(processor, {END}, -1000.0)
    for pad in ("<pad>", END):
        padded = copy.deepcopy(processor)
        padded.tokenizer.pad_token = pad
        responses = generate(model, padded, list(prompts()), max_new_tokens=4, logits_processor=[EndRow()])
        assert [(response.tokens, response.truncated) for response in responses] == [(n, False) for n in range(4)]


def test_a_logits_processor_cannot_bring_a_special_token_back(processor: Any, produced: Any) -> None:
    model, image = biased(processor, {END}, -1000.0), processor.image_token_id
    outputs = produced(model)
    generate(model, processor, [prompts()[0]], max_new_tokens=4, logits_processor=[Adding({image: 1e6})])
    length = encode_prompts(processor, [prompts()[0]])["input_ids"].shape[1]
    assert image not in outputs[0][0, length:].tolist()


def test_the_checkpoint_s_own_generation_settings_do_not_leak_in(model: Any, processor: Any) -> None:
    opinionated = tiny_model(processor=processor)
    opinionated.generation_config.update(
        repetition_penalty=5.0, no_repeat_ngram_size=1, num_beams=3, do_sample=True, temperature=9.0, top_k=2,
        min_new_tokens=3, min_length=90, suppress_tokens=list(range(6, 200)), num_return_sequences=2,
    )  # fmt: skip
    samples = list(prompts())
    plain = generate(model, processor, samples, max_new_tokens=8)
    assert generate(opinionated, processor, samples, max_new_tokens=8) == plain


def test_generation_leaves_no_gradient_and_no_trace_on_the_model(model: Any, processor: Any) -> None:
    before = model.generation_config.to_dict()
    generate(model, processor, [prompts()[0]], max_new_tokens=2)
    assert model.generation_config.to_dict() == before
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_batch_of_many_tokens_is_halved_and_says_the_same(
    model: Any, processor: Any, produced: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = produced(model)
    whole = generate(model, processor, list(prompts()), max_new_tokens=6)
    widest = outputs[0].shape[1]
    monkeypatch.setattr("byorn.models.generate.MOST_TOKENS", 2 * widest)
    assert generate_bounded(model, processor, list(prompts()), max_new_tokens=6) == whole
    assert [len(batch) for batch in outputs[1:]] == [2, 2]


@pytest.mark.parametrize(
    "error", [RuntimeError("[enforce] can't allocate memory: you tried to allocate"), MemoryError()]
)
def test_a_prompt_that_does_not_fit_into_memory_is_named(
    model: Any, processor: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The batches that it is in are halved until it stands alone."""
    sizes = []

    def full(**given: Any) -> Any:
        sizes.append(len(given["input_ids"]))
        raise error

    monkeypatch.setattr(model, "generate", full)
    with pytest.raises(ModelError, match=r"^row 'text': its prompt of \d+ tokens does not fit into memory"):
        generate_bounded(model, processor, list(prompts()), max_new_tokens=6)
    assert sizes == [4, 2, 1]


def test_another_error_is_not_taken_for_missing_memory(
    model: Any, processor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: Any) -> Any:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(model, "generate", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        generate_bounded(model, processor, list(prompts()), max_new_tokens=6)
