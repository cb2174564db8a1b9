"""Features of images, computed once and used by every pass: a vision tower that does not learn says the same of an
image in each of them.

    features(image) = projector(tower(image))        kept under the SHA-256 of what the tower sees of the image

The tower sees one image at a time, so that its features depend on nothing but the image: whether they were kept, in
which batch the image came and where a run was resumed makes no difference, to the last bit. Without this a batch goes
through the tower as a whole, whose rounding may differ (by up to 1e-5 in what was measured).

Where an adapter lies on the tower or the projector, or they learn, the batch goes through them as ever. Features are
kept in memory, in files that outlive the run (`byorn.models.feature_store`), or both: memory is asked first.
"""

import functools
import hashlib
import inspect
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import Any

from byorn.models.feature_store import GIGABYTE, Features, FeatureStore, Shelf
from byorn.models.images import FAMILIES, Cut, Given
from byorn.models.parts import without_adapter
from byorn.models.tower import own_weights, seeing_parts, tower_digest
from byorn.runs.narrate import say


def keep_features(model: Any, gigabytes: float, store: FeatureStore | None = None) -> None:
    """Let the model keep features of images in so much memory, and in a store; 0 and None leave it as it is. Where it
    cannot be done, that is said, and the model is left as it is.

    Features are forgotten when a weight of the tower changes, as PyTorch counts changes. It does not count those made
    through `weight.data` (`weight.data.mul_(2)`), after which features of the old weights are used: change weights
    under `torch.no_grad()`, as optimizers do.
    """
    if not gigabytes and store is None:
        return
    base = without_adapter(model)
    if why := why_not_kept(base):
        asked = "feature_cache" if gigabytes else "feature_store"
        say(f"  {asked}: {why}; images go through the tower in every pass")
        return
    inner = base.base_model
    kept = Kept(inner, gigabytes, store)
    cut = FAMILIES[base.config.model_type]
    inner.get_image_features = MethodType(_keeping(type(inner).get_image_features, cut, kept), inner)


def why_not_kept(base: Any) -> str:
    """What keeps features of this model, without an adapter, from being kept; empty where nothing does."""
    if base.config.model_type not in FAMILIES:
        return f"{base.config.model_type} is not among its families"
    return "the vision tower is random" if _random(base) else ""


def _random(base: Any) -> bool:
    """Whether the tower says something else of an image in training mode: noise, or statistics of batches."""
    from torch.nn.modules.batchnorm import _NormBase
    from torch.nn.modules.dropout import _DropoutNd

    settings = base.config.vision_config.to_dict()
    return any("drop" in name and value for name, value in settings.items()) or any(
        isinstance(part, _NormBase) or (isinstance(part, _DropoutNd) and part.p > 0)
        for root in seeing_parts(base.base_model).values()
        for part in root.modules()
    )


class Kept:
    """Features by image, of one state of the weights that make them.

    Attributes:
        room: Bytes that are left. What came first stays: where every pass goes through all rows, what was used last is
            wanted last.
    """

    def __init__(self, inner: Any, gigabytes: float, store: FeatureStore | None = None) -> None:
        self._inner = inner
        self._gigabytes = gigabytes
        self._store = store
        self._shelf: Shelf | None = None
        self._shelves: dict[tuple[object, ...], Shelf] = {}
        self._first = [id(weight) for weight in self._weights()]
        self._untouched = [weight._version for weight in self._weights()]
        self._state: list[object] = []
        self._found: dict[bytes, Features] = {}
        self.room = 0

    def usable(self, inner: Any) -> bool:
        """Whether features are constants, made by the weights that there were at first. What those made in another
        state, or on another device, is forgotten.

        Versions miss what is written through `weight.data`. To look at values instead would cost a wait for the device
        in every pass, and see a part of the changes at most.
        """
        import torch

        if inner is not self._inner:  # a copy of the model
            return False
        weights = self._weights()
        if [id(weight) for weight in weights] != self._first:  # an adapter, or shards
            return False
        if torch.is_grad_enabled() and any(weight.requires_grad for weight in weights):
            return False
        # where it lies, too: a cast (`model.half().float()`) puts other values there under the same version
        state: list[object] = [(weight._version, weight.data_ptr(), weight.dtype, weight.device) for weight in weights]
        device = str(weights[0].device.type) if weights else "cpu"
        state += [torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)]
        if state != self._state:
            self._state, self._found, self.room = state, {}, int(self._gigabytes * GIGABYTE)
            untouched = [weight._version for weight in weights] == self._untouched
            self._shelf = self._open_shelf(self._store) if self._store and untouched else None
        return True

    def _open_shelf(self, store: FeatureStore) -> Shelf:
        """What is stored of the tower in this state. Of weights that were changed nothing is: no later run has them."""
        state = tuple(self._state)
        if state not in self._shelves:
            shelf = self._shelves[state] = store.of_tower(tower_digest(self._inner))
            weakref.finalize(self, shelf.write)  # with the model, or at the end of the process
        return self._shelves[state]

    def of(self, image: Given, options: str, compute: Callable[[], Features]) -> Features:
        """The features of an image, computed if they are not there, and kept if there is room."""
        key = _digest(image, options)
        if key not in self._found:
            features = self._stored(key, compute)
            size = sum(part.nbytes for part in features)
            if size > self.room:
                return tuple(part.to(image["pixel_values"].device) for part in features)
            self.room -= size
            self._found[key] = tuple(part.cpu() for part in features)
        return tuple(part.to(image["pixel_values"].device) for part in self._found[key])

    def _stored(self, key: bytes, compute: Callable[[], Features]) -> Features:
        """The features of an image that memory has not."""
        if self._shelf is None:
            return compute()
        if (stored := self._shelf.get(key.hex())) is not None:
            return stored
        features = compute()
        self._shelf.add(key.hex(), tuple(part.cpu() for part in features))
        return features

    def _weights(self) -> list[Any]:
        parts = seeing_parts(self._inner).values()
        return [*own_weights(self._inner).values(), *(weight for part in parts for weight in part.parameters())]


def _keeping(original: Callable[..., Any], cut: Cut, kept: Kept) -> Callable[..., Any]:
    """`get_image_features` of single images and what is kept of them, with the same signature, which transformers asks
    for.
    """
    import torch

    signature = inspect.signature(original)

    @functools.wraps(original)
    def get_image_features(self: Any, *args: Any, **kwargs: Any) -> Any:
        given, options = _told(signature.bind(self, *args, **kwargs).arguments, signature, self.config)
        images = list(cut(given)) if kept.usable(self) and not _further(kwargs, signature) else []
        if not any(images) or any(image and image.keys() != given.keys() for image in images):
            return original(self, *args, **kwargs)

        def compute(image: Given) -> Features:
            with torch.no_grad():
                return _parts(original(self, **image, **options, return_dict=True))

        found = [kept.of(image, repr(options), functools.partial(compute, image)) for image in images if image]
        nothing = tuple(part[:0] for part in found[0])
        rest = iter(found)
        return _joined([next(rest) if image else nothing for image in images])

    return get_image_features


def _told(bound: Mapping[str, Any], signature: inspect.Signature, config: object) -> tuple[Given, dict[str, Any]]:
    """The tensors that it is given, and how images are to be seen; what is left open the configuration says, as it does
    in transformers: `generate` leaves open what a forward pass is told.
    """
    from torch import Tensor

    named = {name: value for name, value in bound.items() if name not in ("self", "kwargs") and value is not None}
    given = {name: value for name, value in named.items() if isinstance(value, Tensor)}
    open_ones = {name: getattr(config, name) for name in signature.parameters if hasattr(config, name)}
    return given, open_ones | {name: value for name, value in named.items() if name not in given}


def _further(kwargs: Mapping[str, Any], signature: inspect.Signature) -> bool:
    """Whether more is asked of the tower than features, or it is told more; the rest is the language model's."""
    unknown = [name for name, value in kwargs.items() if name not in signature.parameters and value is not None]
    return any(name.startswith("image_") or (name.startswith("output_") and kwargs[name]) for name in unknown)


def _parts(output: Any) -> Features:
    """Of one image."""
    further = getattr(output, "deepstack_features", None) or []
    pooled = output.pooler_output
    return (pooled if hasattr(pooled, "shape") else pooled[0], *(layer[0] for layer in further))


def _joined(images: Sequence[Features]) -> Any:
    """What `get_image_features` says of several images."""
    import torch
    from transformers.modeling_outputs import BaseModelOutputWithPooling
    from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures

    layers: list[Any] = [[image[layer] for image in images] for layer in range(len(images[0]))]
    pooled, *further = layers
    if further:
        return BaseModelOutputWithDeepstackFeatures(pooler_output=pooled, deepstack_features=further)
    return BaseModelOutputWithPooling(pooler_output=torch.cat(pooled) if pooled[0].dim() == 3 else pooled)


def _digest(image: Given, options: str) -> bytes:
    """SHA-256 of what is seen. Zeros at the end, which may be padding, do not count: sizes say where an image ends."""
    import torch

    digest = hashlib.sha256(options.encode())
    for name, value in image.items():
        seen = value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes().rstrip(b"\0")
        digest.update(f"{name} {value.dtype} {tuple(value.shape[2:])} {len(seen)} ".encode())
        digest.update(seen)
    return digest.digest()
