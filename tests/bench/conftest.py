"""The generators of the benchmark are tried on a real server; nothing is measured."""

from __future__ import annotations

import sys
from pathlib import Path

# The launcher lives beside the tests of the frameworks.
FOLDER = str(Path(__file__).parent.parent / "apps")
if FOLDER not in sys.path:
    sys.path.insert(0, FOLDER)
