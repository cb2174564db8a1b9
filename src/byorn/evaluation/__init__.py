"""What a model's answers are worth: one metric a file, each with its interval."""
