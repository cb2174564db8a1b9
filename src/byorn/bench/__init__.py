"""The bench: experiment file -> result files -> tables and plots. One JSON file a cell, never run twice."""
