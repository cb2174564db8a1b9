"""`python -m byorn`, and so `torchrun -m byorn`: the command line."""

import sys

from byorn.cli.main import main

sys.exit(main())
