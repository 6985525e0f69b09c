"""``python -m loops_nb`` is ``loops-nb``."""

import sys

from loops_nb.cli import main

sys.exit(main())
