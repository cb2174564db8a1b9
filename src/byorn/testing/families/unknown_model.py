"""The modules of the unknown family; apart, since they are classes of torch."""

from typing import Any

from torch import Tensor, nn
from transformers import CLIPVisionModel, GenerationMixin, LlamaModel, LlavaConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast


class UnknownConfig(LlavaConfig):
    """LLaVA's settings under another name."""

    model_type = "unknown_to_byorn"


class UnknownCore(PreTrainedModel):
    """Images and text in, hidden states out."""

    config_class = UnknownConfig
    supports_gradient_checkpointing = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.eye = CLIPVisionModel(config.vision_config)
        self.bridge = nn.Linear(config.vision_config.hidden_size, config.text_config.hidden_size)
        self.mind = LlamaModel(config.text_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.mind.embed_tokens

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: object,
    ) -> BaseModelOutputWithPast:
        embedded = self.mind.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        places = input_ids == self.config.image_token_index
        if places.any():  # not so at a later step of generation, when the images are in the cache
            seen = self.bridge(self.eye(pixel_values).last_hidden_state[:, 1:])  # without the class token
            embedded = embedded.masked_scatter(places[..., None], seen)
        seen_and_read: BaseModelOutputWithPast = self.mind(inputs_embeds=embedded, **kwargs)
        return seen_and_read


class UnknownForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """The core with an output head."""

    config_class = UnknownConfig
    base_model_prefix = "core"
    supports_gradient_checkpointing = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.core = UnknownCore(config)
        self.head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.core.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        return self.head

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: object,
    ) -> CausalLMOutputWithPast:
        states = self.core(input_ids, pixel_values, attention_mask=attention_mask, **kwargs)
        logits = self.head(states.last_hidden_state)
        loss = None if labels is None else self.loss_function(logits, labels, vocab_size=logits.shape[-1])
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=states.past_key_values)
