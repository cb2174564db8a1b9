"""Put the real small model together: `make real-model` (a minute or two; no training).

The public parts come out of their packages, what was trained on top of them (`weights/`, see `align.py`) lies here.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from features import image_processor
from parts import HERE, language_model, vision_tower
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor, PreTrainedModel

WEIGHTS = HERE / "weights"
IMAGE = "<image>"
TEMPLATE = (HERE / "chat_template.jinja").read_text(encoding="utf-8")
LORA = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")
PADDED = 64  # rows of the embeddings, in multiples


def untrained() -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Language model and tower with a projector of random weights, in float32, and their processor."""
    language, tokenizer = language_model()
    tower = vision_tower()
    tokenizer.add_tokens([IMAGE], special_tokens=True)
    tokenizer.padding_side = "left"
    with torch.random.fork_rng():
        torch.manual_seed(0)  # the new rows mean nothing, but are part of the model's digest
        language.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=PADDED, mean_resizing=False)
    config = LlavaConfig(
        vision_config=tower.config.to_dict(),
        text_config=language.config.to_dict(),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=tower.config.grid**2,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        projector_hidden_act="gelu",
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    model.model.language_model.load_state_dict(language.model.state_dict())
    model.model.vision_tower.load_state_dict(tower.state_dict())
    model.tie_weights()
    model.generation_config = language.generation_config
    model.generation_config.max_new_tokens = 32
    processor = LlavaProcessor(
        image_processor=image_processor(),
        tokenizer=tokenizer,
        patch_size=tower.config.patch_size,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE,
        num_additional_image_tokens=0,
    )
    return model.eval(), processor


def with_lora(language: PreTrainedModel) -> PeftModel:
    """The language model with the adapter that alignment trains on every linear layer of it."""
    return get_peft_model(language, LORA)


def aligned(weights: Path) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """The model with the trained projector, and the trained adapter merged into its language model."""
    model, processor = untrained()
    language = with_lora(model.model.language_model)
    load_trained(model.model.multi_modal_projector, language, weights)
    merged: Any = language.merge_and_unload()
    model.model.language_model = merged
    model.tie_weights()
    return model, processor


def load_trained(projector: torch.nn.Module, language: PeftModel, weights: Path) -> None:
    """Put the weights of a folder into a projector and an adapter."""
    projector.load_state_dict(_floats(weights / "projector.safetensors"))
    set_peft_model_state_dict(language, _floats(weights / "lora.safetensors"))


def _floats(path: Path) -> dict[str, torch.Tensor]:
    return {name: tensor.float() for name, tensor in load_file(path).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="what `make real-train` made")
    parser.add_argument("--out", type=Path, default=HERE / "model")
    arguments = parser.parse_args()
    if not (arguments.weights / "lora.safetensors").is_file():
        parser.error(f"no trained weights in {arguments.weights}; `make real-train` makes them")
    model, processor = aligned(arguments.weights)
    model.to(torch.bfloat16).save_pretrained(arguments.out)  # type: ignore[arg-type]  # transformers wraps it untyped
    processor.save_pretrained(arguments.out)
    size = sum(file.stat().st_size for file in arguments.out.iterdir()) / 1e6
    print(f"{arguments.out}: {sum(p.numel() for p in model.parameters()) / 1e6:.0f} million parameters, {size:.0f} MB")


if __name__ == "__main__":
    main()
