"""`python -m understudy_cli`, for use where the command `understudy` is not on the PATH."""

from __future__ import annotations

from understudy_cli.main import main

if __name__ == "__main__":
    main(prog_name="understudy")
