"""Where the repository and the programs among the helpers are, and the search path that both need."""

import os
from pathlib import Path

SUPPORT = Path(__file__).parent
TESTS = SUPPORT.parent
REPOSITORY = TESTS.parent
PYTHONPATH = os.pathsep.join([str(REPOSITORY), str(TESTS)])
