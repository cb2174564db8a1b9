"""Where an image was changed."""

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels, the last two exclusive (as Pillow counts)."""
