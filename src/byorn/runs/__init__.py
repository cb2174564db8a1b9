"""The run folder and what happens in it: settings, narration, progress, ranks, the journal of unfinished work, files
that appear whole.
"""
