"""What the inputs of some rows share that those of others do not."""
