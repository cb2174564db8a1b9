"""What the commands do, one module each: scan, train, evaluate, demo. The command line only parses and calls."""
