"""Poison-aware batches: every optimizer step sees only clean rows or only flagged rows, the flagged steps spread
evenly.

Clean steps then never wait for generation (paper, section on poison-aware minibatches). The order is a pure function of
seed and epoch, so every rank and every resumed run sees the same one.
"""

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class GroupedSampler(Sampler[int]):
    """Row numbers in homogeneous groups of `group`, one group an optimizer step.

    Every clean row comes at least once an epoch, and every flagged one as long as these take no more than a share of
    the steps; of more of them, each epoch visits the next ones. Where a kind does not fill its last group, rows of the
    same kind are drawn again.

    Args:
        flagged: One bool a row.
        group: Rows an optimizer step: batch size x processes x accumulation steps.
        seed: Seed of all epochs.
        most: Share of the steps that flagged rows may take, in (0, 1]; one step they always get.
    """

    def __init__(self, flagged: Sequence[bool], group: int, seed: int, most: float = 1.0) -> None:
        self.kinds = [[i for i, flag in enumerate(flagged) if bool(flag) is kind] for kind in (False, True)]
        self.group = group
        self.seed = seed
        self.most = most
        self.epoch = 0

    @property
    def steps(self) -> tuple[int, int]:
        """Clean and flagged optimizer steps an epoch."""
        clean, flagged = (-(-len(rows) // self.group) for rows in self.kinds)
        return clean, visited(clean, flagged, self.most)

    @property
    def drawn(self) -> int:
        """Flagged rows an epoch visits."""
        return min(self.steps[1] * self.group, len(self.kinds[True]))

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(self.steps) * self.group

    def __iter__(self) -> Iterator[int]:
        for group in self.groups():
            yield from group

    def groups(self) -> list[list[int]]:
        """The rows of each optimizer step of the epoch."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        clean, flagged = (self._groups(rows, generator) for rows in (self.kinds[False], self._flagged()))
        return spread(clean, flagged)

    def block(self, step: int, size: int) -> dict[int, list[int]]:
        """The flagged steps from `step` to the end of its block, with their rows; a block is `size` flagged steps of an
        epoch, counted from its first. None where `step` is no flagged one: after a resume that skips no data, steps
        have other rows than those of their number.

        Args:
            step: Of the epoch.
            size: K.
        """
        kind = set(self.kinds[True])
        flagged = {at: group for at, group in enumerate(self.groups()) if group[0] in kind}
        steps = list(flagged)
        if step not in flagged:
            return {}
        place = steps.index(step)
        return {at: flagged[at] for at in steps[place : place - place % size + size]}

    def _flagged(self) -> list[int]:
        """The flagged rows of the epoch: where it may not visit all, those that come after the last epoch's."""
        rows, count = self.kinds[True], self.drawn
        if count == len(rows):
            return rows
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(self.seed)).tolist()
        return [rows[order[(self.epoch * count + i) % len(rows)]] for i in range(count)]

    def _groups(self, rows: list[int], generator: torch.Generator) -> list[list[int]]:
        order = [rows[i] for i in torch.randperm(len(rows), generator=generator).tolist()]
        while len(order) % self.group:
            order += order[: self.group - len(order) % self.group]
        return [order[start : start + self.group] for start in range(0, len(order), self.group)]


class EpochCallback(TrainerCallback):
    """Tells the sampler its epoch. Accelerate does so as well, but does not reach it after a resume on several
    processes, where the batches to skip lie between; the run would go on with the order of epoch 0.
    """

    def __init__(self, sampler: GroupedSampler) -> None:
        self.sampler = sampler

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.sampler.set_epoch(int(state.epoch or 0))


def visited(clean: int, flagged: int, most: float) -> int:
    """How many of the flagged steps, or rows, an epoch has, of which they may take the share `most`."""
    if not clean or most == 1:
        return flagged
    return min(flagged, max(1, int(clean * most / (1 - most) + 1e-9)))


def spread(many: list[list[int]], few: list[list[int]]) -> list[list[int]]:
    """Merge two lists so that the items of each lie at even distances: item i of n stands at (i + 1/2) / n of the
    way.
    """
    placed = [
        ((i + 0.5) / len(items), kind, item) for kind, items in enumerate((many, few)) for i, item in enumerate(items)
    ]
    return [item for _, _, item in sorted(placed, key=lambda entry: entry[:2])]
