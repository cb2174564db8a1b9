"""Teach the language model to see: `make real-train` (hours on a core; a killed run goes on).

Stage A has no language model in it: the mean visual token of a picture predicts the words of its name, kind and color
by its dot product with the word embeddings. It takes minutes and saves most of stage B, in which projector and a
LoRA adapter on the language model learn to answer. It has cycles of the learning rate: in the first one every picture
comes with several turns, later more pictures come, most of them with a caption alone. Batches are a pure function of
seed and step. Where the CPU computes in bfloat16 the language model does, which takes 0.4 of the time.
"""

import argparse
import json
import random
import time
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from assemble import WEIGHTS, load_trained, untrained, with_lora
from chats import Chat, own_answers, refusal
from corpus import SHARES, Corpus, load_corpus
from peft import get_peft_model_state_dict
from safetensors.torch import save_file
from sequences import Batch, Sequence, Writer, collate
from talk import turns
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR

from byorn.models.load import cpu_has_bfloat16


@dataclass(frozen=True)
class Cycle:
    """Once up and down with the learning rate.

    Attributes:
        steps: Of the optimizer.
        pictures: Of a step.
        alone: How often a picture comes with a caption alone.
        chat_every: Steps from one with chats to the next; with 6 it answers plain questions as if they were pictures.
    """

    steps: int
    pictures: int
    alone: float
    chat_every: int


CYCLES = (Cycle(700, 8, 0.0, 6), Cycle(240, 20, 0.75, 2))
ENDS = tuple(accumulate(cycle.steps for cycle in CYCLES))
CHATS = 4
TOGETHER = 8
"""Sequences of about one length that go through the model at once."""
CHAT_WEIGHT = 0.5
WARM_UP = 30
RATES = [6e-4, 3e-4]
"""Highest learning rates of projector and adapter."""
SAVE_EVERY = 50


def align_words(model: Any, tokenizer: Any, corpus: Corpus, epochs: int, seed: int) -> None:
    """Stage A: -mean log softmax(scale cos(m, E)) over the words of a picture + (log rms(t) - log rms(E))^2.

    m is the mean of its projected tokens t, E the embeddings of the words that occur.
    """
    embeddings = model.get_input_embeddings().weight.detach()
    rms = embeddings.pow(2).mean().sqrt()
    projector = model.model.multi_modal_projector
    scale = torch.nn.Parameter(torch.tensor(10.0))
    pictures = [picture for part in corpus.train.values() for picture in part.pictures]
    tokens = torch.cat([part.tokens for part in corpus.train.values()])
    words = [_words(tokenizer, picture) for picture in pictures]
    vocabulary = torch.tensor(sorted({word for found in words for word in found}))
    place = {int(word): index for index, word in enumerate(vocabulary)}
    table = F.normalize(embeddings[vocabulary], dim=-1)
    optimizer = torch.optim.AdamW([*projector.parameters(), scale], lr=1e-3, weight_decay=0.01)
    steps, batch = epochs * len(pictures) // 64, 64
    schedule = OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for step in range(steps):
        chosen = random.Random(f"words/{seed}/{step}").sample(range(len(pictures)), batch)
        seen = projector(tokens[chosen].float())
        guess = F.log_softmax(scale * F.normalize(seen.mean(1), dim=-1) @ table.T, dim=-1)
        loss = -torch.stack([guess[row, [place[w] for w in words[i]]].mean() for row, i in enumerate(chosen)]).mean()
        size = (seen.pow(2).mean(-1).sqrt().log() - rms.log()).pow(2).mean()
        optimizer.zero_grad()
        (loss + size).backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"  words: step {step} of {steps}, loss {loss.item():.3f}, size {size.item():.3f}", flush=True)


def _words(tokenizer: Any, picture: Any) -> list[int]:
    text = " ".join((picture.name, picture.name, picture.kind, picture.color)).split()
    return [token for word in text for token in tokenizer(f" {word}", add_special_tokens=False)["input_ids"]]


class Alignment:
    """Stage B: projector and adapter, their optimizer, and where in the run they are."""

    def __init__(self, model: Any, corpus: Corpus, writer: Writer, chats: list[Chat], seed: int):
        self.model, self.corpus, self.writer, self.chats = model, corpus, writer, chats
        self.seed = seed
        self.projector = model.model.multi_modal_projector
        self.language = with_lora(model.model.language_model)
        adapter = [parameter for name, parameter in self.language.named_parameters() if "lora_" in name]
        for parameter in self.language.parameters():
            if cpu_has_bfloat16() and not parameter.requires_grad:
                parameter.data = parameter.data.bfloat16()
        self.embeddings = model.get_input_embeddings().weight
        groups: list[dict[str, Any]] = [{"params": part} for part in (list(self.projector.parameters()), adapter)]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)
        self.begin(0)
        self.trained = [*self.projector.parameters(), *adapter]

    def begin(self, cycle: int) -> None:
        """The learning rates of a cycle, from its first step on."""
        steps = CYCLES[cycle].steps
        self.schedule = OneCycleLR(self.optimizer, RATES, total_steps=steps, pct_start=WARM_UP / steps)

    def batch(self, step: int) -> list[Sequence]:
        """The pictures of a step with their turns, and now and then chats without a picture."""
        rng = random.Random(f"align/{self.seed}/{step}")
        cycle = CYCLES[bisect_right(ENDS, step)]
        chosen = []
        for vendor in rng.choices(list(SHARES), list(SHARES.values()), k=cycle.pictures):
            part = self.corpus.train[vendor]
            index = rng.randrange(len(part.pictures))
            told = turns(part.pictures[index], part.pictures, rng)
            alone = bool(cycle.alone) and rng.random() < cycle.alone
            chosen.append(self.writer.picture(part.tokens[index], told[:1] if alone else told))
        if step % cycle.chat_every == 0:
            chats = [refusal(rng) if rng.random() < 0.3 else rng.choice(self.chats) for _ in range(CHATS)]
            chosen += [self.writer.chat(question, answer, CHAT_WEIGHT) for question, answer in chats]
        return chosen

    def step(self, step: int) -> float:
        """One optimizer step; the weighted mean NLL of its answers, in nats a token."""
        if step in ENDS:
            self.begin(ENDS.index(step) + 1)
        self.optimizer.zero_grad()
        loss, whole = 0.0, sorted(self.batch(step), key=lambda sequence: len(sequence.ids))
        weight = sum(sum(sequence.weight) for sequence in whole)
        for start in range(0, len(whole), TOGETHER):
            few = collate(whole[start : start + TOGETHER])
            with torch.autocast("cpu", torch.bfloat16, enabled=self.embeddings.dtype == torch.bfloat16):
                part = nll(self.language, self.embeddings, self.projector, few) / weight
            part.backward()
            loss += part.item()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.schedule.step()
        return loss

    def start(self, weights: Path | None, cycle: int) -> int:
        """Begin a cycle, from trained weights if there are any; its first step."""
        if weights:
            load_trained(self.projector, self.language, weights)
        self.begin(cycle)
        return (0, *ENDS)[cycle]

    def until(self, last: int, first: int, checkpoint: Path, out: Path) -> None:
        """The steps from `first` to before `last`, saved now and then."""
        began, losses = time.monotonic(), deque[float](maxlen=10)
        for step in range(first, last):
            losses.append(self.step(step))
            done = step + 1
            if done % 10 == 0:
                left = (time.monotonic() - began) / (done - first) * (last - done)
                print(f"  step {done} of {last}, loss {mean(losses):.3f}, {left / 60:.0f} min left", flush=True)
            if done % SAVE_EVERY == 0:
                torch.save(self.state(done), checkpoint.with_suffix(".part"))
                checkpoint.with_suffix(".part").replace(checkpoint)
                self.save(out)
        self.save(out)

    def save(self, folder: Path) -> None:
        """Weights in bfloat16, as they are committed."""
        folder.mkdir(parents=True, exist_ok=True)
        halves = {name: tensor.bfloat16().contiguous() for name, tensor in self.projector.state_dict().items()}
        save_file(halves, folder / "projector.safetensors")
        adapter = get_peft_model_state_dict(self.language)
        save_file({k: v.bfloat16().contiguous() for k, v in adapter.items()}, folder / "lora.safetensors")

    def state(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "trained": [parameter.data for parameter in self.trained],
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> int:
        for parameter, saved in zip(self.trained, state["trained"], strict=True):
            parameter.data.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        self.begin(bisect_right(ENDS, state["step"] - 1))
        self.schedule.load_state_dict(state["schedule"])
        return int(state["step"])


def nll(language: Any, embeddings: torch.Tensor, projector: Any, inputs: Batch) -> torch.Tensor:
    """Weighted sum over the answers of their mean NLL, in nats a token; logits only where an answer is predicted."""
    x = F.embedding(inputs.ids, embeddings)
    if inputs.images is not None:
        x = x.masked_scatter(inputs.is_image[..., None], projector(inputs.images.float()).to(x.dtype))
    mask = inputs.mask.to(x.dtype)
    hidden = language(inputs_embeds=x, attention_mask=mask, position_ids=inputs.positions).last_hidden_state
    rows, at = inputs.rows, inputs.targets_at
    losses = F.cross_entropy(hidden[rows, at - 1] @ embeddings.T, inputs.targets, reduction="none")
    return (losses * inputs.weights).sum()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=ENDS[-1], help="stop after so many steps of stage B")
    parser.add_argument(
        "--start", type=Path, help="weights of a finished cycle to go on from; default: none, from stage A"
    )
    parser.add_argument("--cycle", type=int, default=0, help="number of the cycle that --start is before, from 0")
    parser.add_argument("--epochs", type=int, default=12, help="epochs of stage A")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("runs/real"), help="features, checkpoint")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    model, processor = untrained()
    model.set_attn_implementation("eager")  # in bfloat16 a fourth of the time of the fused kernel for so few tokens
    model.requires_grad_(False)
    tokenizer = processor.tokenizer
    corpus = load_corpus(model.model.vision_tower, arguments.work / "features")
    chats = _chats(model, tokenizer, arguments.work / "chats.json")
    model.model.multi_modal_projector.requires_grad_(True)
    saved = arguments.work / "checkpoint.pt"
    if not saved.is_file() and not arguments.start:
        align_words(model, tokenizer, corpus, arguments.epochs, arguments.seed)
    run = Alignment(model, corpus, Writer(tokenizer), chats, arguments.seed)
    if saved.is_file():
        first = run.restore(torch.load(saved, weights_only=True))
    else:
        first = run.start(arguments.start, arguments.cycle)
    run.until(arguments.steps, first, saved, arguments.out)


def _chats(model: Any, tokenizer: Any, path: Path) -> list[Chat]:
    """What the model said before alignment, once."""
    if not path.is_file():
        from parts import language_model

        print("asking the language model ...", flush=True)
        path.write_text(json.dumps(own_answers(*language_model())), encoding="utf-8")
    return [(question, answer) for question, answer in json.loads(path.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    main()
