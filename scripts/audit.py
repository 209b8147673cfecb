"""Search for secrets in files and known vulnerabilities in locked packages: `python scripts/audit.py [--strict]`.

Secrets: patterns of the keys of providers, of AWS and of this gateway, private keys, signed URLs, and random values
with a name like "secret". The script reads all files of this checkout that git does not ignore, but not the history. A
line that must look like a secret contains `audit: example`.

Packages: the packages in the layers, and the tools. pip-audit asks PyPI for advisories. The tests' npm packages are not
checked. A vulnerability in a layer is a failure; a vulnerability in a tool is only printed. If advisories are not
available (a mirror without advisories, no network), the script says so. With --strict that is a failure. With --offline
the script does not check packages.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIP_AUDIT = ROOT / ".venvs" / "audit" / "bin" / "pip-audit"
EXAMPLE = "audit: example"
GENERATED = re.compile(r"locks/.*\.txt|layers/.*/requirements\.txt|.*package-lock\.json")  # full of hashes
BITS = 3.0  # Shannon entropy for each character: random values have more

PATTERNS = {
    "an AWS access key id": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "an OpenAI key": r"\bsk-(?:proj-)?[A-Za-z0-9_-]{32,}",
    "an xAI key": r"\bxai-[A-Za-z0-9]{32,}",
    "a Google key": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "a Runway key": r"\bkey_[0-9a-f]{64,}\b",
    "a key of this gateway": r"\bus-[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])",
    "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{36}\b",
    "a PyPI token": r"\bpypi-[A-Za-z0-9_-]{50,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a signed URL": r"X-Amz-Signature=[0-9a-f]{64}",
}
CALLED_SECRET = re.compile(
    r"(?:secret|token|passw(?:or)?d|api_?key|credential)\w*[\"']?\s*[:=]\s*[\"']?([A-Za-z0-9+/_=-]{24,})", re.IGNORECASE
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strict", action="store_true", help="fail when advisories cannot be had")
    parser.add_argument("--offline", action="store_true", help="look for secrets only")
    arguments = parser.parse_args()
    found = list(secrets())
    for line in found:
        print(line, file=sys.stderr)
    print(f"secrets: {len(found)} found")
    if arguments.offline:
        return 1 if found else 0
    shipped = sorted(ROOT.glob("layers/*/requirements.txt"))
    tools = sorted(ROOT.glob("locks/*.txt"))
    in_shipped, in_tools = advisories(PIP_AUDIT, shipped), advisories(PIP_AUDIT, tools)
    in_shipped.tell("packages that ship")
    in_tools.tell("packages of tools")
    unasked = in_shipped.unasked or in_tools.unasked
    return 1 if found or in_shipped.holes or (arguments.strict and unasked) else 0


def secrets() -> Iterator[str]:
    """Yield "file:line: kind of secret" for every file of the checkout that git does not ignore."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        file = ROOT / name
        if GENERATED.fullmatch(name) or not file.is_file():
            continue
        try:
            lines = file.read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # pictures and clips
        yield from (f"{name}:{number}: {what}" for number, line in enumerate(lines, 1) for what in looks_like(line))


def looks_like(line: str) -> list[str]:
    """Return the kinds of secrets that a line seems to hold."""
    if EXAMPLE in line:
        return []
    found = [what for what, pattern in PATTERNS.items() if re.search(pattern, line)]
    if any(re.search(r"\d", value) and _bits(value) > BITS for value in CALLED_SECRET.findall(line)):
        found.append("a random value called a secret")
    return found


def _bits(text: str) -> float:
    """Return the Shannon entropy of the text, in bits for each character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


@dataclass
class Advisories:
    """Packages in lock files: the number looked up, the known vulnerabilities, and packages that were not looked up."""

    known: int = 0
    holes: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)

    def tell(self, what: str) -> None:
        """Print a summary, all vulnerabilities, and the first package or file that was not looked up."""
        print(f"{what}: {self.known} looked up, {len(self.holes)} known holes, {len(self.unasked)} not looked up")
        for line in (*self.holes, *self.unasked[:1]):
            print(f"  {line}")


def advisories(tool: Path, locks: list[Path]) -> Advisories:
    """Look up the packages of lock files with pip-audit."""
    found = Advisories()
    for lock in locks:
        command: list[str | Path] = [
            tool,
            "--require-hashes",
            "--disable-pip",
            "--progress-spinner",
            "off",
            "--format",
            "json",
        ]
        try:
            ran = subprocess.run([*command, "--requirement", lock], capture_output=True, text=True)
            dependencies = json.loads(ran.stdout)["dependencies"]
        except FileNotFoundError:
            return Advisories(unasked=["pip-audit is not there: `make audit` installs it"])
        except ValueError:
            why = ran.stderr.strip().splitlines()[-1:] or [f"exit code {ran.returncode}"]
            found.unasked.append(f"{lock.name}: {why[0][:200]}")
            continue
        for one in dependencies:
            if "skip_reason" in one:
                found.unasked.append(one["skip_reason"])
                continue
            found.known += 1
            found.holes += [f"{lock.name}: {one['name']} {one['version']}: {hole['id']}" for hole in one["vulns"]]
    return found


if __name__ == "__main__":
    sys.exit(main())
