"""Update every lock file from its .in file: `python scripts/lock.py [--upgrade]`.

Lock files are universal: each is for Python 3.11 to 3.13 on every platform. Without --upgrade, only packages that a
changed .in file affects get new versions.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Compile all lock files, those of the layers first, because others include them."""
    subprocess.run([sys.executable, ROOT / "scripts" / "venvs.py", "bootstrap"], check=True)
    uv = ROOT / ".venvs" / "bootstrap" / "bin" / "uv"
    for source in [*sorted(ROOT.glob("layers/*/requirements.in")), *sorted(ROOT.glob("locks/*.in"))]:
        target = source.with_suffix(".txt").relative_to(ROOT)
        compile_: list[str | Path] = [uv, "--quiet", "--no-config", "pip", "compile", "--universal"]
        compile_ += ["--generate-hashes", "--python-version", "3.11", "--custom-compile-command", "make lock"]
        if (overrides := source.with_suffix(".overrides")).exists():
            compile_ += ["--overrides", overrides]
        subprocess.run([*compile_, *sys.argv[1:], source.relative_to(ROOT), "-o", target], cwd=ROOT, check=True)
        print(target, file=sys.stderr)


if __name__ == "__main__":
    main()
