"""An experiment file and the cells that it spans: attacks x rates x seeds x defenses x sweeps. No torch here."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, get_type_hints

from byorn.attacks.objectives import find_objective
from byorn.bench.spec import DEFAULT, AttackEntry, Cell, Group
from byorn.errors import ConfigError
from byorn.flagging.settings import Rule
from byorn.models.spec import MOST_RANKS, Dtype, LoraSpec
from byorn.pipeline.settings.defenses import FLAGGING, SAMPLING
from byorn.settings import Check, below, check_value, each, fraction, positive
from byorn.training.settings import LONGEST_MEMORY, ByornSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


Kind = TypeVar("Kind", bound="DataclassInstance")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """An experiment file.

    Attributes:
        name: The file's name without its ending.
        title: One line for the tables.
        task: A name of `byorn.bench.tasks.TASKS`, or a mapping with `train`, `test`, `metric`: data of your own.
        rows, test_rows: How many to use.
        seeds: Of data, attack and training.
        model: A folder, a hub name or `embedded`.
        dtype: Of its weights, as `byorn train --dtype`; default: auto.
        batch_size: Rows scored or generated together; default: 50. It changes no result, up to rounding.
        attacks: Label -> fields of `AttackEntry`.
        rates: Shares of the rows that are poisoned.
        defenses: Names that `byorn train --defense` knows.
        defense_options: Name of a defense -> its options.
        rules: Of flagging, for the defenses that flag: `paper`, `evidence`.
        percentiles, ema_decays: Swept for the defenses that read them; `default` is the decay that a training chooses
            by its length.
        lora_rank: Of every adapter.
        lora_targets: Regular expression of the layers that it adapts; default: the language model's.
        arguments: Fields of `ByornConfig`.
        plugins: Python files that are run first, see `byorn.plugins`; in the experiment file, relative to it.
    """

    name: str
    title: str
    attacks: Mapping[str, Mapping[str, object]]
    defenses: tuple[str, ...]
    defense_options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    task: str | Mapping[str, object] = "captions"
    rows: int = 600
    test_rows: int = 300
    seeds: tuple[int, ...] = (0, 1, 2)
    model: str = "embedded"
    dtype: Dtype | None = None
    batch_size: int | None = None
    rates: tuple[float, ...] = (0.1,)
    rules: tuple[Rule, ...] = ("paper",)
    percentiles: tuple[float, ...] = (ByornSettings.percentile,)
    # whatever the length, for results stay comparable
    ema_decays: tuple[float | Literal["default"], ...] = (1 - 1 / LONGEST_MEMORY,)
    lora_rank: int = LoraSpec.rank
    lora_targets: str | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)
    plugins: tuple[Path, ...] = ()

    def groups(self) -> Iterator[Group]:
        """Seed by seed, so that a first whole table is there early."""
        for group in self._groups():
            attack = group.attack
            convention = attack.convention or find_objective(attack.objective).convention
            yield replace(group, attack=replace(attack, convention=convention))

    def by_slug(self) -> dict[str, Cell]:
        """The cells by the names of their result files. No plugin is needed to know them: a convention that is the
        objective's is left out.
        """
        return {cell.slug: cell for group in self._groups() for cell in self.cells(group)}

    def _groups(self) -> Iterator[Group]:
        for seed, rate, (label, options) in itertools.product(self.seeds, self.rates, self.attacks.items()):
            attack = _build(AttackEntry, {"attack": label, **(options or {})}, f"{self.name}: attacks: {label}")
            yield Group(
                task=self.task,
                rows=self.rows,
                test_rows=self.test_rows,
                model=self.model,
                label=label,
                attack=attack,
                rate=rate,
                seed=seed,
                dtype=self.dtype,
                batch_size=self.batch_size,
            )

    def cells(self, group: Group) -> Iterator[Cell]:
        """The cells of a group, each once."""
        for defense in self.defenses:
            decays = self.ema_decays if defense in SAMPLING else self.ema_decays[:1]
            for (rule, percentile), decay in itertools.product(self._flagging(defense), decays):
                yield Cell(
                    group=group,
                    defense=defense,
                    options=self.defense_options.get(defense, {}),
                    percentile=percentile,
                    rule=rule,
                    ema_decay=None if decay == DEFAULT else decay,
                    lora_rank=self.lora_rank,
                    lora_targets=self.lora_targets,
                    arguments=self.arguments,
                )

    def _flagging(self, defense: str) -> Iterator[tuple[Literal["evidence"] | None, float]]:
        """Rules and percentiles that a defense is run with."""
        if defense not in FLAGGING:
            yield None, self.percentiles[0]
            return
        if "paper" in self.rules:
            yield from ((None, percentile) for percentile in self.percentiles)
        if "evidence" in self.rules:
            yield "evidence", self.percentiles[0]


OWN_FIELDS = {
    "rule": "rules",
    "percentile": "percentiles",
    "ema_decay": "ema_decays",
    "seed": "seeds",
    "score_batch_size": "batch_size",
}
"""Fields of `ByornConfig` that an experiment says in a field of its own."""


def read_experiment(path: Path) -> Experiment:
    """Read an experiment file; `extends: NAME` takes what it leaves out from NAME.yaml beside it.

    Raises:
        ConfigError: It or the other file is missing, no YAML, or has an unknown, missing or ill-typed field.
    """
    content = _yaml(path)
    if base := content.pop("extends", None):
        beside = _yaml(path.parent / f"{base}.yaml")
        if "extends" in beside:
            raise ConfigError(f"experiment {path}: extends: {base!r} extends another one itself; name that one")
        content = {**beside, **content}
    lists = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    experiment: Experiment = _build(Experiment, {"name": path.stem, **lists}, f"experiment {path}")
    _check(experiment, path)
    return replace(experiment, plugins=tuple(path.parent / name for name in experiment.plugins))


def _yaml(path: Path) -> dict[str, object]:
    import yaml

    if not path.is_file():
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.yaml"))) or "none"
        raise ConfigError(f"experiment {path}: no such file; in {path.parent} there is: {known}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"experiment {path}: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"experiment {path}: expected `field: value` lines")
    return content


def _build(kind: "type[Kind]", content: Mapping[str, object], where: str) -> "Kind":
    known = {item.name: item for item in fields(kind)}
    unknown = [key for key in content if key not in known]
    if unknown:
        raise ConfigError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(known)}")
    missing = [
        name
        for name, item in known.items()
        if name not in content and item.default is MISSING and item.default_factory is MISSING
    ]
    if missing:
        raise ConfigError(f"{where}: field {missing[0]!r} is missing")
    make: Callable[..., Kind] = kind
    return make(**content)


CHECKS: Mapping[str, Check] = {
    "rows": positive,
    "test_rows": positive,
    "batch_size": positive,
    "seeds": each(below(2**32)),
    "rates": each(fraction),
    "percentiles": each(fraction),
    "ema_decays": each(lambda decay: None if decay == DEFAULT else fraction(decay)),
    "lora_rank": below(MOST_RANKS + 1, 1),
}


def _check(experiment: Experiment, path: Path) -> None:
    for name in ("seeds", "rates", "rules", "percentiles", "ema_decays", "defenses"):
        value = getattr(experiment, name)
        if not isinstance(value, tuple) or not value:
            raise ConfigError(f"experiment {path}: {name} is {value!r}; give a list with at least one entry")
    if not isinstance(experiment.plugins, tuple) or not all(isinstance(name, str) for name in experiment.plugins):
        raise ConfigError(f"experiment {path}: plugins is {experiment.plugins!r}; give a list of Python files")
    for name, home in OWN_FIELDS.items():
        if name in (experiment.arguments or {}):
            raise ConfigError(f"experiment {path}: arguments: {name}: write {home}, which the results are named by")
    kinds = get_type_hints(Experiment)
    for item in fields(experiment):
        if item.name not in ("plugins", "attacks"):
            value = getattr(experiment, item.name)
            check_value(f"experiment {path}: {item.name}", value, kinds[item.name], CHECKS.get(item.name))
    if not isinstance(experiment.attacks, Mapping) or not experiment.attacks:
        raise ConfigError(f"experiment {path}: attacks: give `label: {{option: value}}` lines")
    for label, entry in experiment.attacks.items():
        _check_attack(f"experiment {path}: attacks", label, entry)
    for name, options in experiment.defense_options.items():
        if not isinstance(options, Mapping):
            raise ConfigError(f"experiment {path}: defense_options: {name}: give `option: value` lines")
    _check_names(experiment, path)


def _check_attack(where: str, label: object, entry: object) -> None:
    """An attack of the file, which has not been built yet."""
    if not isinstance(label, str) or not label.strip() or "/" in label or "\\" in label:
        raise ConfigError(f"{where}: {label!r} names files; give a name without slashes, in quotes")
    if entry is not None and not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: {label}: give `option: value` lines")
    kinds = get_type_hints(AttackEntry)
    for name, value in (entry or {}).items():
        if name in kinds:  # others are refused when it is built
            check_value(f"{where}: {label}: {name}", value, kinds[name])


def _check_names(experiment: Experiment, path: Path) -> None:
    """Refuse cells of one name, as of a seed that is listed twice: they would write the same files."""
    slugs = Counter(cell.slug for group in experiment._groups() for cell in experiment.cells(group))
    name, count = slugs.most_common(1)[0]
    if count > 1:
        raise ConfigError(
            f"experiment {path}: two cells are called {name!r}; list each seed, rate, defense, percentile and decay "
            "once, and numbers that differ in their first six digits"
        )
