"""`python -m understudy_cli`, where the installed command is not on the path."""

from __future__ import annotations

from understudy_cli.main import main

if __name__ == "__main__":
    main(prog_name="understudy")
