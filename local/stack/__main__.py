"""`python -m local.stack`."""

from __future__ import annotations

from local.stack.lifecycle import main

if __name__ == "__main__":
    main()
