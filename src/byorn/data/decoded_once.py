"""Images in a `datasets.Dataset`, each decoded once."""

from threading import get_ident
from typing import Any

from datasets import Image


class DecodedOnce(Image):  # type: ignore[misc]
    """RGB images in a list.

    `datasets` decodes the first image of every list twice: to see whether the list is one of encoded images, and as a
    part of it. Where rows have one image, that is twice the work of reading them.
    """

    def __init__(self) -> None:
        super().__init__(mode="RGB")
        self._first: dict[int, tuple[object, Any]] = {}  # by thread

    def __eq__(self, other: object) -> bool:
        """Whether it is the same feature, as it comes back from disk for instance: two data sets may be joined then."""
        return isinstance(other, Image) and (self.mode, self.decode) == (other.mode, other.decode)

    def decode_example(self, value: Any, token_per_repo_id: dict[str, Any] | None = None) -> Any:
        """The image; of the same value at once after, the one from before."""
        encoded, image = self._first.pop(get_ident(), (None, None))
        if encoded is not value:
            image = super().decode_example(value, token_per_repo_id)
            self._first[get_ident()] = (value, image)
        return image
