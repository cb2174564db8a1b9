"""The settings of the commands, a file for each, beside those of data, model, adapter and training."""
