"""`byorn` and `python -m byorn`, and so `torchrun -m byorn`: the command line as a process of its own."""

import sys

from byorn.cli.main import DONE, GATE, main


def run() -> None:
    """Run one command and end the process with its exit code."""
    code = main()
    if (
        code in (DONE, GATE) and "torch" in sys.modules
    ):  # a process that failed leaves at once: others may wait for it in the group
        from byorn.runs.ranks import end_group

        end_group()
    sys.exit(code)


if __name__ == "__main__":
    run()
