"""A batch of prompts padded on the left says what each prompt alone would get: same logits, same sampled tokens."""

import torch
from transformers import LogitsProcessor

from byorn.data.dataset import to_dataset
from byorn.models.generate import generate
from byorn.training.noise import GumbelNoise

STEPS = 5


class Recorder(LogitsProcessor):
    """Keeps the logits of every step, [rows, vocabulary] each."""

    def __init__(self):
        self.steps = []

    def __call__(self, input_ids, scores):
        self.steps.append(scores.clone())
        return scores


def sampled(family, samples, seeds):
    """Responses, and logits [rows, steps, vocabulary]."""
    recorder = Recorder()
    processors = [recorder, GumbelNoise(seeds)]
    responses = generate(family.model, family.processor, samples, max_new_tokens=STEPS, logits_processor=processors)
    return responses, torch.stack(recorder.steps, dim=1)


def test_a_mixed_batch_is_answered_as_its_rows_alone(family):
    samples, seeds = list(to_dataset(family.rows)), range(len(family.rows))
    together, logits = sampled(family, samples, seeds)
    for row, (sample, seed) in enumerate(zip(samples, seeds, strict=True)):
        [alone], expected = sampled(family, [sample], [seed])
        assert together[row] == alone
        steps = expected.shape[1]
        torch.testing.assert_close(logits[row, :steps], expected[0], atol=1e-4, rtol=0)
    assert len({response.text for response in together}) == len(samples)
