"""Teach the language model to see: `make real-train` (an hour and a half on a core with AMX; a killed run goes on).

Stage A (`words.py`) has no language model in it. In stage B the projector and a LoRA adapter learn to answer questions
about pictures, and to tell right answers from wrong ones:

    L = mean NLL of right answers + lambda CE(-kappa NLL over the right one and the wrong ones)

NLL in nats a token, means over the step's questions; a second, shorter cycle of the learning rate puts more weight on
telling apart. A few captions are learned under a blank picture, so that what a
caption costs without one is known too, and every other step a few chats without a picture, so that it stays an
assistant. Batches are a pure function of seed and step. Where the CPU computes in bfloat16 the language model does.
"""

import argparse
import json
import random
import time
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from adapter import Adapter
from assemble import WEIGHTS, untrained
from chats import Chat, own_answers, refusal
from corpus import SHARES, Collection, load_corpus
from features import see
from pictures import SIDE, Picture
from PIL import Image
from safetensors.torch import save_file
from sequences import Batch, Sequence, Writer, collate
from talk import ASK, WRONG, asked, caption
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR
from words import align_words

from byorn.models.load import cpu_has_bfloat16

PICTURES, BLANKS, CHATS = 20, 2, 4
"""Questions of a step; captions of the blank picture beside them; chats of every second step."""
BLANK_WEIGHT, CHAT_WEIGHT = 0.15, 0.1
TOGETHER = 10
"""Questions of about one length that go through the model at once."""
DROPPED = 0.3
"""Share of the channels of a picture that are dropped, at most."""
WARM_UP = 30
SAVE_EVERY = 50


@dataclass(frozen=True)
class Cycle:
    """Once up and down with the learning rate.

    Attributes:
        steps: Of the optimizer.
        rates: The highest ones of projector and adapter.
        kappa, weight: Of telling apart, see above; weight is lambda.
    """

    steps: int
    rates: tuple[float, float]
    kappa: float
    weight: float


CYCLES = (Cycle(700, (3e-4, 8e-4), 2.0, 0.5), Cycle(300, (1.5e-4, 5e-4), 3.0, 1.0))
ENDS = tuple(accumulate(cycle.steps for cycle in CYCLES))


class Alignment:
    """Stage B: projector and adapter, their optimizer, and where in the run they are."""

    def __init__(self, model: Any, corpus: dict[str, Collection], writer: Writer, chats: list[Chat], seed: int):
        self.model, self.corpus, self.writer, self.chats, self.seed = model, corpus, writer, chats, seed
        self.projector = model.model.multi_modal_projector
        self.language = model.model.language_model
        if cpu_has_bfloat16():
            self.language.bfloat16()
        self.embeddings = model.get_input_embeddings().weight
        self.adapter = Adapter(self.language, seed)
        self.trained = [*self.projector.parameters(), *self.adapter.trained]
        groups: list[dict[str, Any]] = [
            {"params": part} for part in (list(self.projector.parameters()), self.adapter.trained)
        ]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)
        self.begin(0)

    def begin(self, cycle: int) -> None:
        """The learning rates of a cycle, from its first step on."""
        self.cycle = CYCLES[cycle]
        steps = self.cycle.steps
        self.schedule = OneCycleLR(self.optimizer, list(self.cycle.rates), total_steps=steps, pct_start=WARM_UP / steps)

    @cached_property
    def blank(self) -> torch.Tensor:
        """What the tower sees in a white picture, [tokens, channels]."""
        return see(self.model.model.vision_tower, [Image.new("RGB", (SIDE, SIDE), "white")])[0]

    @cached_property
    def by_kind(self) -> dict[str, list[Picture]]:
        found: dict[str, list[Picture]] = {}
        for part in self.corpus.values():
            for picture in part.pictures:
                found.setdefault(picture.kind, []).append(picture)
        return found

    def draw(self, rng: random.Random) -> tuple[str, int]:
        """A vendor and the number of one of its pictures."""
        (vendor,) = rng.choices(list(SHARES), list(SHARES.values()))
        return vendor, rng.randrange(len(self.corpus[vendor].pictures))

    def another(self, kind: str, rng: random.Random) -> Picture:
        """Some picture, of a kind unless that is empty."""
        vendor, number = self.draw(rng)
        return rng.choice(self.by_kind[kind]) if kind else self.corpus[vendor].pictures[number]

    def questions(self, rng: random.Random) -> list[Sequence]:
        """About pictures, each with a right answer, wrong ones, and maybe further right ones."""
        found = []
        for _ in range(PICTURES):
            vendor, number = self.draw(rng)
            part = self.corpus[vendor]
            question = asked(part.pictures[number], lambda kind: self.another(kind, rng), rng)
            seen = part.tokens[number, rng.randrange(part.tokens.shape[1])]
            found.append(self.writer.write(seen, question.question, question.answers))
        return found

    def blanks(self, rng: random.Random) -> list[Sequence]:
        """Captions of other pictures for the blank one."""
        said = [[caption(self.another("", rng), rng) for _ in range(6)] for _ in range(BLANKS)]
        return [self.writer.write(self.blank, rng.choice(ASK), captions) for captions in said]

    def talks(self, rng: random.Random) -> list[Sequence]:
        chats = [refusal(rng) if rng.random() < 0.3 else rng.choice(self.chats) for _ in range(CHATS)]
        return [self.writer.write(None, question, [answer]) for question, answer in chats]

    def step(self, step: int) -> float:
        """One optimizer step; its loss."""
        if step in ENDS:
            self.begin(ENDS.index(step) + 1)
        rng = random.Random(f"align/{self.seed}/{step}")
        torch.manual_seed(self.seed * 100_003 + step)
        self.adapter.write()
        self.optimizer.zero_grad()
        total, whole = 0.0, sorted(self.questions(rng), key=lambda sequence: len(sequence.ids))
        for start in range(0, len(whole), TOGETHER):
            few = collate(whole[start : start + TOGETHER])
            loss = told_apart(self.nll(few, DROPPED), few.counts, self.cycle).sum() / PICTURES
            loss.backward()
            total += loss.item()
        plain = [(self.blanks(rng), BLANK_WEIGHT)] + ([(self.talks(rng), CHAT_WEIGHT)] if step % 2 == 0 else [])
        for sequences, weight in plain:
            few = collate(sequences)
            answered = torch.arange(int(few.counts.max())) < few.counts[:, None]
            (weight * self.nll(few)[answered].mean()).backward()
        self.adapter.take_gradients()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.schedule.step()
        return total

    def nll(self, few: Batch, dropped: float = 0.0) -> torch.Tensor:
        """float32 [n, answers]: mean NLL of each answer, in nats a token; 0 where a question has fewer."""
        x = F.embedding(few.ids, self.embeddings)
        if few.images is not None:
            seen = few.images.float()
            if dropped:
                rate = dropped * torch.rand(len(seen), 1, 1)
                seen = seen * (torch.rand(len(seen), 1, seen.shape[-1]) > rate) / (1 - rate)
            x = x.masked_scatter(few.is_image[..., None], self.projector(seen).to(x.dtype))
        hidden = self.language(
            inputs_embeds=x, attention_mask=few.mask.to(x.dtype), position_ids=few.positions
        ).last_hidden_state
        logits = (hidden[few.rows, few.before] @ self.embeddings.T).float()
        losses = F.cross_entropy(logits, few.targets, reduction="none")
        most = int(few.counts.max())
        place, shape = few.rows * most + few.answers, len(few.counts) * most
        sums = torch.zeros(shape).index_add(0, place, losses)
        lengths = torch.zeros(shape).index_add(0, place, torch.ones_like(losses))
        return (sums / lengths.clamp(1)).view(-1, most)

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

    def save(self, folder: Path) -> None:
        """Weights in bfloat16, as they are committed."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, state in (("projector", self.projector.state_dict()), ("lora", self.adapter.state())):
            halves = {key: tensor.detach().bfloat16().contiguous() for key, tensor in state.items()}
            save_file(halves, folder / f"{name}.safetensors")

    def state(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "projector": self.projector.state_dict(),
            "adapter": self.adapter.state(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> int:
        self.projector.load_state_dict(state["projector"])
        self.adapter.load(state["adapter"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.begin(bisect_right(ENDS, state["step"] - 1))
        self.schedule.load_state_dict(state["schedule"])
        return int(state["step"])


def told_apart(nll: torch.Tensor, counts: torch.Tensor, cycle: Cycle) -> torch.Tensor:
    """float [n]: L of each question, see above. Answers are in the order of `talk.Asked`: the right one, wrong ones,
    of which there are at most `WRONG`, and further right ones.
    """
    there = torch.arange(nll.shape[1]) < counts[:, None]
    compared, more = slice(0, 1 + WRONG), slice(1 + WRONG, None)
    logits = (-cycle.kappa * nll[:, compared]).masked_fill(~there[:, compared], -1e9)
    apart = F.cross_entropy(logits, torch.zeros(len(nll), dtype=torch.long), reduction="none")
    right = (nll[:, 0] + (nll[:, more] * there[:, more]).sum(1)) / (1 + there[:, more].sum(1))
    return right + cycle.weight * apart


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=ENDS[-1], help="stop after so many steps of stage B")
    parser.add_argument("--epochs", type=int, default=8, help="of stage A")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("runs/real"), help="features, checkpoint")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    model, processor = untrained()
    model.set_attn_implementation("eager")  # in bfloat16 a fourth of the time of the fused kernel for so few tokens
    model.requires_grad_(False)
    corpus = load_corpus(model.model.vision_tower, arguments.work / "features")
    chats = _chats(arguments.work / "chats.json")
    model.model.multi_modal_projector.requires_grad_(True)
    saved = arguments.work / "checkpoint.pt"
    if not saved.is_file():
        align_words(model, processor.tokenizer, corpus, arguments.epochs, arguments.seed)
    run = Alignment(model, corpus, Writer(processor.tokenizer), chats, arguments.seed)
    first = run.restore(torch.load(saved, weights_only=True)) if saved.is_file() else 0
    run.until(arguments.steps, first, saved, arguments.out)


def _chats(path: Path) -> list[Chat]:
    """What the model said before alignment, once."""
    if not path.is_file():
        from parts import language_model

        print("asking the language model ...", flush=True)
        path.write_text(json.dumps(own_answers(*language_model())), encoding="utf-8")
    return [(question, answer) for question, answer in json.loads(path.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    main()
