"""What the tiny families share: a byte-level tokenizer, small sizes, and seeded random weights."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast, ProcessorMixin

Family: TypeAlias = "tuple[PreTrainedModel, ProcessorMixin]"

CORPUS = "what color is this? a red square, a blue square, a green square, a black square. say a color! which two? yes."
HIDDEN = 32
HEADS = 2
LAYERS = 2
# The decoder's sizes by the names that most text configurations use; Llama's and Qwen's, Mistral's and Gemma's among
# them.
TEXT: dict[str, Any] = {
    "hidden_size": HIDDEN, "intermediate_size": 2 * HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS, "max_position_embeddings": 2048,
}  # fmt: skip
# The vision tower's sizes by the names that CLIP and SigLIP use.
VISION: dict[str, Any] = {
    "hidden_size": HIDDEN, "intermediate_size": 2 * HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
}  # fmt: skip


def byte_tokenizer(special_tokens: Sequence[str], **options: object) -> "PreTrainedTokenizerFast":
    """A byte-level BPE tokenizer of about 300 tokens, the special ones first and in order; any text encodes.

    Args:
        special_tokens: Everything that the family does not read as text (image, role, end, padding tokens, ...).
        options: Of `PreTrainedTokenizerFast`: eos_token, pad_token, bos_token, attributes that the processor looks for
            (as `image_token="<image>"`), ...
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=list(special_tokens), initial_alphabet=alphabet)
    core.train_from_iterator([CORPUS], trainer)
    named = {value for value in options.values() if isinstance(value, str)}
    extra = [token for token in special_tokens if token not in named]
    return PreTrainedTokenizerFast(
        tokenizer_object=core, additional_special_tokens=extra, model_max_length=2048, **options
    )


def ids_of(tokenizer: "PreTrainedTokenizerFast") -> dict[str, Any]:
    """`bos_token_id`, `eos_token_id` and `pad_token_id`, as configurations take them."""
    return {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}


def random_model(
    model_class: "type[PreTrainedModel]",
    config: "PreTrainedConfig",
    tokenizer: "PreTrainedTokenizerFast",
) -> "PreTrainedModel":
    """A model of `config` in float32 and eval mode that ends with the tokenizer's end of turn.

    Its matrices are N(0, 1 / fan-in) and whatever starts at zero (biases, gates) N(0, 0.01): with the usual small start
    the answer would hardly depend on the images, and no test could tell a wrong image from the right one. The caller's
    random state is left as it was.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: PreTrainedModel = model_class(config).float().eval()
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
            elif not parameter.any():
                torch.nn.init.normal_(parameter, std=0.1)
    for name, value in ids_of(tokenizer).items():
        setattr(model.generation_config, name, value)
    return model
