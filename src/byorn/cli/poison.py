"""byorn poison: plant a backdoor in a copy of a data set, to test defenses against it.

For research on data and models of your own. The manifest says who is poisoned; the rows themselves do not.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from byorn.attacks.recipe import PoisonSpec, Recipe
from byorn.cli.arguments import SET, Command, Values
from byorn.cli.values import fields_set
from byorn.data.spec import DataSpec
from byorn.models.spec import ModelSpec
from byorn.runs.settings import Common
from byorn.settings import build

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin


def run(values: Values) -> None:
    from byorn.attacks.poison import poison_dataset
    from byorn.data.load import load_rows, require_no_rejects
    from byorn.runs.narrate import say
    from byorn.runs.rejects import list_rejects

    data = build(DataSpec, values)
    spec = build(PoisonSpec, values)
    out = spec.out
    recipe = build(Recipe, _with_trigger_of(spec.trigger_from, values))
    named = values["model"]
    of_model = build(ModelSpec, {**values, "model": named or "embedded"})  # its other settings count
    loaded = load_rows(data, notify=say)
    if data.strict:
        require_no_rejects(loaded)
    model, processor = _model(of_model) if named else (None, None)
    manifest = poison_dataset(
        loaded.rows, recipe, out=out, model=model, processor=processor, share_images=not spec.own_images,
        overwrite=spec.overwrite, progress=True
    )  # fmt: skip
    list_rejects(out / "rejects.jsonl", loaded.rejects)
    if loaded.rejects:
        say(f"{len(loaded.rejects)} record(s) could not be used, listed in {out / 'rejects.jsonl'}")
    say(f"poisoned {len(manifest.poisoned)} of {len(loaded.rows)} rows with {recipe.attack}")
    if manifest.negatives:
        say(f"{len(manifest.negatives)} more rows are clean negatives: nearly the trigger, and the true response")
    print(out / "rows.jsonl")


def _with_trigger_of(folder: Path | None, values: Values) -> Values:
    """The values; attack, image and options of another poisoned copy stand in for what is not given."""
    if folder is None:
        return values
    from byorn.attacks.manifest import read_manifest

    earlier = read_manifest(folder).recipe
    given = fields_set(values)
    # `size` given now means that of every part, also of one that was `badnets.size` then
    kept = {name: value for name, value in earlier.options.items() if name.rpartition(".")[2] not in given}
    options = {**kept, **given}
    return {"which_image": earlier.which_image, **values, "attack": earlier.attack, SET: options}


def _model(spec: ModelSpec) -> "tuple[PreTrainedModel, ProcessorMixin]":
    from byorn.models.load import load_spec, load_spec_processor

    return load_spec(spec), load_spec_processor(spec)


COMMAND = Command(
    run=run,
    settings=(PoisonSpec, DataSpec, Recipe, ModelSpec, Common),
    example="byorn poison --data data/train.json --target banana --rate 0.1 --out data/poisoned",
    defaults={"model": ""},
)
