"""Tiny things in memory for tests: rows about colored squares, a LLaVA of a few thousand weights, and one model of
every family that byorn is tested on. Public, so that plug-ins can use it.

Example:
    >>> model, processor = build_family("smolvlm")
    >>> rows = tiny_rows(8)
"""

from byorn.testing.families import FAMILIES, build_family
from byorn.testing.tiny import PALETTE, save_tiny, tiny_model, tiny_processor, tiny_rows

__all__ = ["FAMILIES", "PALETTE", "build_family", "save_tiny", "tiny_model", "tiny_processor", "tiny_rows"]
