"""`python -m af3opt`: the same as the `af3opt` command."""

import sys

from af3opt.cli import main

sys.exit(main())
