"""Run the cells of a notebook in this process: ``python -m tests.sdk.run_offline tests/sdk/run_notebook.py FILE``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell


def main(path: Path) -> None:
    """Run them from top to bottom; the first error ends it."""
    make: Any = InteractiveShell.instance
    shell = make()
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            shell.run_cell("".join(cell["source"])).raise_error()


if __name__ == "__main__":
    main(Path(sys.argv[-1]))
