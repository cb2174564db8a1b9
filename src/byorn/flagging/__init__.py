"""Scores -> flags: pure functions, without torch."""
