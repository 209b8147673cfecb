"""The ports, the folder and the names of one local stack. All of them follow from PORT."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
REGION = "us-east-1"
STACK = "understudy"


@dataclass(frozen=True)
class Settings:
    """One local stack. The front uses `port`, the local AWS `port` + 1, and the simulators the ports after that."""

    port: int = 4000

    @classmethod
    def from_environment(cls) -> Settings:
        """Return the settings for PORT (default 4000). Raises ValueError if PORT is not from 1024 to 65000."""
        port = int(os.environ.get("PORT") or 4000)
        if not 1024 <= port <= 65000:
            raise ValueError(f"PORT has to be from 1024 to 65000, not {port}")
        return cls(port)

    @cached_property
    def folder(self) -> Path:
        """The folder with all state of the stack."""
        return ROOT / ".local" / str(self.port)

    @property
    def base_url(self) -> str:
        """The base URL for clients."""
        return f"http://{HOST}:{self.port}/v1"

    @property
    def aws_url(self) -> str:
        """The address of the local AWS."""
        return f"http://{HOST}:{self.port + 1}"

    def simulator_port(self, index: int) -> int:
        """Return the port of the n-th simulator, counted from 0."""
        return self.port + 2 + index

    @property
    def root_credentials(self) -> dict[str, str]:
        """The operator's environment for AWS tools. Root bypasses every policy: do not use it to test policies."""
        return {
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_ACCESS_KEY_ID": self._root["id"],
            "AWS_SECRET_ACCESS_KEY": self._root["secret"],
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client with the operator's rights."""
        import boto3

        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name=REGION,
            endpoint_url=self.aws_url,
            aws_access_key_id=self._root["id"],
            aws_secret_access_key=self._root["secret"],
        )

    @property
    def _root(self) -> dict[str, str]:
        """The access key of root in the local AWS, made at the first use. Nobody can guess it, a web page neither."""
        file = self.folder / "root.json"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            made = self.folder / f"root.{os.getpid()}"
            made.touch(mode=0o600)
            made.write_text(
                json.dumps({"id": f"AKIA{secrets.token_hex(8).upper()}", "secret": secrets.token_urlsafe(30)})
            )
            with contextlib.suppress(FileExistsError):
                os.link(made, file)  # whoever is first, the others read the same key
            made.unlink()
        return dict(json.loads(file.read_text()))

    def remember(self, **facts: Any) -> None:
        """Save facts about the running stack. Only the file's owner may read them, because they include an API key."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "facts.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps({**self.facts(), **facts}, indent=2) + "\n")

    def facts(self) -> dict[str, Any]:
        """Return the saved facts, which are empty before the first `make up`."""
        file = self.folder / "facts.json"
        text = file.read_text() if file.exists() else ""
        return dict(json.loads(text)) if text else {}
