"""The transcript of `understudy smoke`: a Markdown file that can be attached to an issue, because it has no secret."""

from __future__ import annotations

import re
import time
from pathlib import Path

# A presigned URL is a password for its file, and the password is in the query.
_QUERY = re.compile(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]*")
_USER = re.compile(r"(https?://)[^\s/@]+@")
_API_KEY = re.compile(r"\bus-[A-Za-z0-9_-]{16,}")


class Transcript:
    """The lines of the file. From `save` on, each line is written at once, so an interrupted run has a transcript."""

    def __init__(self, file: Path, key: str) -> None:
        self.file, self._key = file, key
        self._lines: list[str] = []
        self._saved = False

    def begin(self, title: str, **facts: str) -> None:
        """Write the head: what was tested, and the first line of the table."""
        self._write(f"# {title}\n")
        for name, fact in facts.items():
            self._write(f"* {name.replace('_', ' ')}: {self.clean(fact)}")
        self._write("\n| at (UTC) | step | what | status | seconds | x-request-id | found |")
        self._write("|---|---|---|---|---|---|---|")

    def add(self, step: str, what: str, status: str, seconds: float, request_id: str = "", found: str = "") -> None:
        """Write a line of the table."""
        at = time.strftime("%H:%M:%S", time.gmtime())
        cells = [at, step, what, status, f"{seconds:.2f}", request_id, found]
        self._write(f"| {' | '.join(self.clean(cell).replace('|', chr(92) + '|') for cell in cells)} |")

    def clean(self, text: str) -> str:
        """Return the text on one line, without API keys, without passwords and without the queries of URLs."""
        for pattern, shown in ((_QUERY, r"\1?[query]"), (_USER, r"\1[user]@"), (_API_KEY, "[key]")):
            text = pattern.sub(shown, text)
        return " ".join(text.replace(self._key, "[key]").split())

    def save(self) -> None:
        """Write the file with the lines so far. Make its folder."""
        if not self._saved:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text("".join(self._lines), "utf-8")
            self._saved = True

    def _write(self, line: str) -> None:
        self._lines.append(f"{line}\n")
        if self._saved:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
