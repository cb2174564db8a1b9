"""BYE and ONION against the code that their authors published: the numbers and texts in capitals came out of theirs.

BYE: github.com/XuankunRong/BYE at 9a45b2d, `eval_model` of LLaVA/llava/eval/model_vqa.py, then bye.py. ONION:
github.com/thunlp/ONION at 0f4ae21, `GPT2LM`, `get_PPL` and `get_processed_poison_data` of experiments/. Both ran
unchanged on a CPU, on the inputs that this file makes: a stand-in for LLaVA handed `attention()` to the one, `byte_lm`
stood for gpt2-large in the other, each text with a space at its end. Python 3.11.7, numpy 2.4.6, scikit-learn 1.9.1,
torch 2.14.1, transformers 5.23.0. None of their code is here. Where byorn differs on purpose, the comment says what
theirs did.
"""

from typing import Any

import numpy as np
import pytest

from byorn.defenses.attention import FirstLook
from byorn.defenses.bye import entropies, low_component, sensitive_layers
from byorn.defenses.perplexity import lead_ids, perplexities
from byorn.defenses.words import clean, suspicion, without_each

LAYERS, BEFORE, PATCHES, AFTER = 32, 5, 576, 9  # their script reads 32 layers and 24 x 24 patches, nothing else
POISONED = [2, 7, 11, 18]
ENTROPIES = [[5.8068213, 5.7279224], [5.8476343, 2.6448412], [5.7220612, 5.8065858]]  # of rows 0, 2, 23 in layers 0, 9
SENSITIVE = [3, 4, 9, 10, 20, 24, 27]  # of `attention()`; the rows that they drop are POISONED
SENSITIVE_GAPS = [8, 9, 11, *range(14, 32)]  # of `gaps(0.05)`; they drop every fourth row
DROPPED_SPREADS = [*range(3, 60, 3)]  # of `unlike_spreads()`, where every layer is sensitive
# PPL of the sentence, then without its first word, its second, ...: with "<|endoftext|>" before each, and as published
LONG, SHORT = "a red tq square on a blue field", "cf mn bb tq"
BEGUN_LONG = [471.950, 503.798, 515.521, 473.514, 443.631, 459.376, 501.241, 559.811, 493.472]
PLAIN_LONG = [419.373, 454.143, 456.917, 450.966, 411.599, 428.382, 442.337, 519.245, 440.077]
BEGUN_SHORT = [557.890, 385.104, 526.963, 659.244, 535.458]
# what they leave of the begun ones at our bar, which is minus theirs
CLEANED_LONG = {-50: "blue", -30: "a red blue", 0: "a red tq a blue field", 20: "a red tq on a blue field", 50: LONG}
CLEANED_SHORT = {-100: "bb", 20: "bb", 25: "bb tq", 50: "mn bb tq", 200: SHORT}


def noise(row, layer):
    """Four sines that never fall into step: near enough a bell, and the same numbers on every machine."""
    return sum(np.sin(row * (layer + 1) * step + layer) for step in (1.0, 2**0.5, 3**0.5, 5**0.5))


def attention():
    """[24 rows, 32 layers, 2 heads, tokens]; in three layers the poisoned rows look at nine patches only."""
    row, layer, head, token = np.ogrid[:24, :LAYERS, :2, : BEFORE + PATCHES + AFTER]
    height = (2 + 0.1 * noise(row, layer)) * np.sin(7 * row + 13 * layer + 31 * head + token * (token % 17))
    patch = np.isin(row, POISONED) & np.isin(layer, [9, 10, 20]) & (token >= 100) & (token < 109)
    weights = np.exp(height + 6.0 * patch)
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def gaps(step):
    """Entropies [60 rows, 32 layers]: every fourth row lies lower, in each layer a step more than in the one before."""
    row, layer = np.ogrid[:60, :LAYERS]
    return 5 + 0.1 * noise(row, layer) - step * layer * (row % 4 == 0)


def unlike_spreads():
    """Entropies [60, 32]: a third close about 3, the others wide about 5, and row 0 a little below the close ones."""
    row, layer = np.ogrid[:60, :LAYERS]
    matrix = np.where(row % 3 == 0, 3 + 0.002 * noise(row, 0 * layer), 5 + 0.45 * noise(row, 0 * layer))
    matrix[0] = 2.6
    return matrix


@pytest.fixture(scope="module")
def byte_lm():
    """A GPT-2 of two layers that reads bytes, its weights written down by a formula, and its tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    vocabulary = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<|endoftext|>"]
    core = Tokenizer(models.BPE({token: at for at, token in enumerate(vocabulary)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    sizes: dict[str, Any] = {"vocab_size": len(vocabulary), "n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2}
    model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=256, eos_token_id=256)).eval()
    for at, weight in enumerate(model.parameters()):
        wave = torch.sin((torch.arange(weight.numel()) + 1.0).double() * (at + 2) ** 0.5 * 1.7).reshape(weight.shape)
        weight.data.copy_(0.5 * wave if wave.dim() > 1 else 0.5 + 0.1 * wave)
    return model, PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<|endoftext|>", eos_token="<|endoftext|>")


@pytest.fixture(scope="module")
def ours():
    """Our entropies of `attention()`, [24, 32]."""
    image = np.repeat([False, True, False], [BEFORE, PATCHES, AFTER])
    return np.array([entropies(FirstLook(weights, np.zeros(len(image), int), image)) for weights in attention()])


def dropped(matrix):
    return np.flatnonzero(low_component(matrix[:, sensitive_layers(matrix)].mean(axis=1)) > 0.5).tolist()


def test_bye_entropies_agree_but_for_a_summand_of_theirs(ours):
    difference = ours[np.ix_([0, 2, 23], [0, 9])] - np.array(ENTROPIES)
    assert difference == pytest.approx(np.full((3, 2), PATCHES * 1e-8), abs=1e-6)  # they take ln(a + 1e-8), we ln(a)


def test_bye_finds_the_same_layers_and_rows_in_the_same_attention(ours):
    assert (sensitive_layers(ours), dropped(ours)) == (SENSITIVE, POISONED)


def test_bye_draws_the_line_between_two_groups_where_they_do():
    assert sensitive_layers(gaps(0.05)) == SENSITIVE_GAPS  # |m1 - m2| / (s1 + s2) is 1.94 in layer 13, 2.07 in layer 9
    assert dropped(gaps(0.05)) == [*range(0, 60, 4)]
    assert sensitive_layers(unlike_spreads()) == [*range(LAYERS)]
    assert dropped(unlike_spreads()) == DROPPED_SPREADS  # without row 0, the lowest, which is of the wide cluster


def test_bye_goes_on_where_theirs_breaks():
    assert sensitive_layers(gaps(0.0)) == []  # theirs: TypeError, 'NoneType' object is not subscriptable
    assert sensitive_layers(np.full((60, LAYERS), 3.0)) == []  # theirs: all 32, for an empty component has the mean 0


def published_texts(text):
    """What they measure for "text ": the text without the space, but the others with it."""
    whole, *rest = without_each(text)
    return [whole, *(each + " " for each in rest)]


def scored(byte_lm, texts, *first):
    """The perplexities of texts that begin as ours do, or after `first`."""
    model, tokenizer = byte_lm
    return perplexities(model, tokenizer, lead_ids(tokenizer, *first), texts).tolist()


def test_onion_perplexities_and_cleaned_texts_agree_on_the_same_strings(byte_lm):
    for text, ppl, texts in ((LONG, BEGUN_LONG, CLEANED_LONG), (SHORT, BEGUN_SHORT, CLEANED_SHORT)):
        found = scored(byte_lm, published_texts(text))
        np.testing.assert_allclose(found, ppl, rtol=1e-5)
        assert {bar: clean(text, suspicion(found), bar)[0] for bar in texts} == texts


def test_onion_as_published_never_scores_the_first_token(byte_lm):
    found = [scored(byte_lm, [s[1:]], s[0])[0] for s in published_texts(LONG)]
    np.testing.assert_allclose(found, PLAIN_LONG, rtol=1e-5)  # ours agree once the first token is the lead


def test_onion_differs_by_the_space_that_they_leave_at_the_end(byte_lm):
    own = suspicion(scored(byte_lm, without_each(LONG)))
    difference = np.subtract(own, suspicion(BEGUN_LONG))
    assert difference == pytest.approx([26.16, 28.11, 24.06, 27.60, 23.50, 26.11, 27.25, 38.05], abs=0.02)
    assert clean(LONG, own, 20)[0] == "a red a blue field" != CLEANED_LONG[20]


def test_onion_keeps_words_that_they_would_drop():
    assert clean(SHORT, suspicion(BEGUN_SHORT), -1e6) == ("bb", 3)  # theirs: nothing is left
    assert clean("a b c", [0.0, 0.0, 0.0], 0.0) == ("a b c", 0)  # theirs: f at the bar goes too, so nothing is left
    assert clean(SHORT, [0.0] * 4, 1.0) == (SHORT, 0)  # theirs: "cf mn bb", for no space follows the last word
