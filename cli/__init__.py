"""Commands for people: `python -m cli upload|keys|redrive`."""

from __future__ import annotations

import sys
from pathlib import Path

# The operators' commands use the layer's own modules, from this checkout.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "layers" / "understudy"))
