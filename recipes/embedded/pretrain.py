"""Pretrain the embedded model from scratch: `make embedded` (about an hour on 2 CPU cores), the recipe behind the
committed weights.

Three stages, as for a real LLaVA. First the vision tower alone learns to say what each of its patches shows, where it
lies, and what the scene as a whole holds (the part that CLIP pretraining plays elsewhere); then it is frozen, and
projector and language model learn to talk about scenes. Trained together from the start, the tower forgets what it
knows before anybody has learned to read it. Last, all parts are trained together. The data are `byorn.embedded.corpus`,
a pure function of seed and index, so that a killed run continues from its last checkpoint with exactly the batches it
would have seen. Matrix products run in bfloat16, weights and averages stay in float32.
"""

import argparse
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from byorn.embedded import architecture, corpus
from byorn.embedded.draw import draw_scene, patch_owners
from byorn.embedded.scene import BACKDROPS, COLORS, CORNERS, PLACES, SHAPES, STICKERS, TEXTURES, Scene, place

IGNORE = -100
BUCKETS = 4
GRID = architecture.SIDE // architecture.PATCH


def pixels(scene: Scene) -> torch.Tensor:
    return torch.from_numpy(np.array(draw_scene(scene))).permute(2, 0, 1).float().div_(127.5).sub_(1)


# One linear head each: (classes, weight). The first four describe the thing under the patch (the last class: none), the
# fifth the patch's own position, the others the whole scene, so that any patch tells them, as CLIP's features do. The
# shape is what takes longest to see.
HEADS = {
    "shape": (len(SHAPES) + 1, 2.0),
    "colour": (len(COLORS) + 1, 1.0),
    "size": (3, 1.0),
    "place": (len(PLACES) + 1, 1.0),
    "position": (GRID * GRID, 0.3),
    "backdrop": (len(BACKDROPS), 0.5),
    "texture": (len(set(TEXTURES)), 0.5),
    "count": (3, 0.5),
    "sticker": (len(STICKERS) + 1, 0.5),
    "corner": (len(CORNERS) + 1, 0.5),
}
CLASSES = [classes for classes, _ in HEADS.values()]


def patch_labels(scene: Scene) -> torch.Tensor:
    """What each head should say of each patch: int64 [patches, heads]."""
    none = (len(SHAPES), len(COLORS), 2, len(PLACES))
    of_thing = [
        (SHAPES.index(thing.shape), list(COLORS).index(thing.color),
         int(thing.size == "large"), PLACES.index(place(thing)))
        for thing in scene.things
    ]  # fmt: skip
    sticker = scene.sticker
    of_scene = (
        list(BACKDROPS).index(scene.backdrop),
        sorted(set(TEXTURES)).index(scene.texture),
        len(scene.things) - 1,
        STICKERS.index(sticker.kind) if sticker else len(STICKERS),
        CORNERS.index(sticker.corner) if sticker else len(CORNERS),
    )
    owners = patch_owners(scene, architecture.SIDE, architecture.PATCH)
    rows = [((*of_thing, none)[owner], patch) for patch, owner in enumerate(owners)]
    return torch.tensor([(*thing, patch, *of_scene) for thing, patch in rows])


class Batches(Dataset[dict[str, torch.Tensor]]):
    """Ready-made batches. Each run of `BUCKETS` batches shares its conversations out by length, which halves the
    padding.
    """

    def __init__(self, tokenizer: Any, seed: int, size: int, vision_only: bool = False) -> None:
        self.tokenizer, self.seed, self.size, self.vision_only = tokenizer, seed, size, vision_only

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        run, bucket = divmod(index, BUCKETS)
        first = run * BUCKETS * self.size
        conversations = [corpus.sample(self.seed, first + i) for i in range(BUCKETS * self.size)]
        conversations.sort(key=lambda c: 40 * len(c.scenes) + sum(len(text) + 10 for turn in c.turns for text in turn))
        conversations = conversations[bucket * self.size : (bucket + 1) * self.size]
        scenes = [scene for conversation in conversations for scene in conversation.scenes]
        batch = {"pixel_values": torch.stack([pixels(scene) for scene in scenes])}
        if self.vision_only:
            return batch | {"labels": torch.stack([patch_labels(scene) for scene in scenes])}
        return batch | pad(
            [encode(self.tokenizer, conversation) for conversation in conversations], self.tokenizer.pad_token_id
        )


def encode(tokenizer: Any, conversation: corpus.Conversation) -> tuple[list[int], list[int]]:
    """Token ids and labels; only responses and their end-of-turn tokens are learned."""
    ids: list[int] = []
    labels: list[int] = []
    images = architecture.IMAGE_TOKEN * (GRID * GRID) * len(conversation.scenes)
    for instruction, response in conversation.turns:
        question = tokenizer(f"{architecture.USER}{images}{instruction}{architecture.END}{architecture.ASSISTANT}")[
            "input_ids"
        ]
        answer = tokenizer(f"{response}{architecture.END}")["input_ids"]
        ids += question + answer
        labels += [IGNORE] * len(question) + answer
        images = ""
    return ids, labels


def pad(encoded: list[tuple[list[int], list[int]]], pad_id: int) -> dict[str, torch.Tensor]:
    width = max(len(ids) for ids, _ in encoded)
    return {
        "input_ids": torch.tensor([ids + [pad_id] * (width - len(ids)) for ids, _ in encoded]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in encoded]),
        "labels": torch.tensor([labels + [IGNORE] * (width - len(labels)) for _, labels in encoded]),
    }


class PatchReader(nn.Module):
    """Stage 1: linear heads that read `HEADS` from the feature of a patch."""

    def __init__(self, tower: nn.Module, width: int) -> None:
        super().__init__()
        self.tower, self.head = tower, nn.Linear(width, sum(CLASSES))

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        features = self.tower(pixel_values).last_hidden_state[:, 1:]
        logits = self.head(features).split(CLASSES, dim=-1)
        losses = [
            weight * nn.functional.cross_entropy(part.flatten(0, 1), labels[..., i].flatten())
            for i, (part, (_, weight)) in enumerate(zip(logits, HEADS.values(), strict=True))
        ]
        return torch.stack(losses).sum()


def rate(step: int, steps: int, peak: float, warmup: int = 100) -> float:
    """Linear warm-up, then a cosine down to a twentieth of the peak."""
    progress = max(0.0, (step - warmup) / max(1, steps - warmup))
    return peak * min(1.0, (step + 1) / warmup) * (0.525 + 0.475 * math.cos(math.pi * progress))


def stream(data: Batches, start: int, stop: int) -> Iterator[dict[str, torch.Tensor]]:
    loader = DataLoader(data, batch_size=None, sampler=range(start, stop), num_workers=1, prefetch_factor=4)
    return iter(loader)


def train(module: nn.Module, data: Batches, steps: int, peak: float, state_file: Path, name: str) -> None:
    """AdamW over `steps` batches, continuing from `state_file` if it is there."""
    optimizer = torch.optim.AdamW(
        [p for p in module.parameters() if p.requires_grad], lr=peak, betas=(0.9, 0.98), weight_decay=0.05
    )
    start = 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    began, losses = time.time(), []
    for step, batch in zip(itertools.count(start), stream(data, start, steps), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, peak)
        with torch.autocast("cpu", torch.bfloat16):
            output = module(**batch)
        loss = output if isinstance(output, torch.Tensor) else output.loss
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % 50 == 0:
            mean = sum(losses[-50:]) / len(losses[-50:])
            print(
                f"{name} step {step + 1}/{steps} loss {mean:.4f} {(time.time() - began) / (step + 1 - start):.2f} "
                "s/step",
                flush=True,
            )
        if (step + 1) % 500 == 0 or step + 1 == steps:
            state_file.parent.mkdir(parents=True, exist_ok=True)
            torch.save(
                {"module": module.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1},
                state_file.with_suffix(".tmp"),
            )
            state_file.with_suffix(".tmp").replace(state_file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/embedded"), help="where checkpoints and the final model go"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vision-steps", type=int, default=6000)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--joint-steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    texts = [text for i in range(40_000) for turn in corpus.sample(args.seed + 1, i).turns for text in turn]
    tokenizer = architecture.train_tokenizer(texts)
    model = architecture.build_model(tokenizer)
    model.set_attn_implementation("eager")  # the fused attention's backward pass is slow in bfloat16 on a CPU
    print(
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} million parameters, {len(tokenizer)} tokens",
        flush=True,
    )
    reader = PatchReader(model.model.vision_tower, model.config.vision_config.hidden_size)
    train(
        reader,
        Batches(tokenizer, args.seed + 2, args.batch, vision_only=True),
        args.vision_steps,
        1e-3,
        args.out / "vision.pt",
        "vision",
    )
    model.model.vision_tower.requires_grad_(False)
    talk = Batches(tokenizer, args.seed, args.batch)
    train(model, talk, args.steps, 1e-3, args.out / "language.pt", "language")
    model.requires_grad_(True)
    finish = Batches(tokenizer, args.seed + 3, args.batch)
    train(model, finish, args.joint_steps, 5e-4, args.out / "joint.pt", "joint")
    model.save_pretrained(args.out / "model")
    architecture.build_processor(tokenizer).save_pretrained(args.out / "model")


if __name__ == "__main__":
    main()
