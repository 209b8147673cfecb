"""The files of a request: uploads, data URIs, and URLs that are requested with HEAD and then with GET."""

from __future__ import annotations

import ipaddress
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from local.simulators.runwayml.settings import Settings
from local.simulators.shared import footage
from local.simulators.shared.body import Body, File
from local.simulators.shared.errors import Refusal
from local.simulators.shared.inputs import Inputs
from local.simulators.shared.store import Store, Vault

Kind = Literal["image", "video"]

_TYPES: dict[Kind, tuple[str, ...]] = {
    "image": ("image/jpeg", "image/jpg", "image/png", "image/webp"),
    "video": ("video/mp4", "video/quicktime", "video/webm"),
}
_URL_LIMITS: dict[Kind, int] = {"image": 16 * 1024**2, "video": 32 * 1024**2}
_DATA_LIMIT = 5 * 1024**2  # of the encoded URI
_UPLOAD_SIZES = (512, 200 * 1024**2)


def issue(path: str, message: str) -> Refusal:
    """Build the validation error of one field; `path` is a path with dots."""
    return Refusal(400, message, "custom", path)


class Assets:
    """The uploads and input files of one server."""

    def __init__(self, store: Store, vault: Vault, folder: Path, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._store, self._vault = store, vault
        self._inputs = Inputs(vault, folder)
        self._uploads = {row["id"]: row for row in store.load("upload")}

    def clear(self) -> None:
        self._uploads.clear()
        self._store.clear("upload")

    def begin_upload(self, account: str, document: Any, host: str) -> dict[str, Any]:
        """Create an upload. Return its address, the fields to send there, and the URI that the file will have.

        Raises Refusal.
        """
        if not isinstance(document, dict) or set(document) != {"filename", "type"}:
            raise issue("filename", "Invalid input: expected filename and type")
        if not isinstance(document["filename"], str) or "." not in document["filename"]:
            raise issue("filename", "Invalid input: expected a filename with an extension")
        if document["type"] != "ephemeral":
            raise issue("type", "Invalid option: expected 'ephemeral'")
        name = secrets.token_hex(8)
        fields = {"key": f"uploads/{name}", "policy": secrets.token_hex(16)}
        self._keep({"id": name, "account": account, "file": None, "made": time.time(), "fields": fields})
        return {"uploadUrl": f"http://{host}/uploads/{name}", "fields": fields, "runwayUri": f"runway://{name}"}

    def receive(self, upload_id: str, body: Body) -> None:
        """Receive the form of an upload: all fields as they were given, then the file. Raises Refusal (400, 403)."""
        upload = self._uploads.get(upload_id)
        if upload is None or upload["file"] is not None:
            raise Refusal(403, "The policy of this upload is not valid.")
        *fields, last = body.parts or [("", "")]
        if dict(fields) != upload["fields"] or last[0] != "file" or not isinstance(last[1], File):
            raise Refusal(403, "The form must have the fields of the upload and then the file.")
        low, high = _UPLOAD_SIZES
        if not low <= last[1].size <= high:
            raise Refusal(400, f"The file has {last[1].size} bytes; expected {low} to {high}.")
        self._keep(upload | {"file": self._vault.keep(last[1].path, last[1].sha256)})

    def take(self, account: str, uri: str, kind: Kind, path: str) -> tuple[str, float, int, int]:
        """Fetch the file of a URI. Return its vault key, seconds (0 for an image), width and height. Raises Refusal."""
        key = self._uploaded(account, uri, path) if uri.startswith("runway://") else self._fetched(uri, kind, path)
        file = self._vault.path(key)
        try:
            if kind == "video":
                video = footage.probe(file)
                return key, video.duration, video.width, video.height
            image = footage.probe_image(file)
            return key, 0.0, image.width, image.height
        except footage.UnreadableMedia as error:
            raise issue(path, f"Invalid asset: {error}") from error

    def _uploaded(self, account: str, uri: str, path: str) -> str:
        upload = self._uploads.get(uri.removeprefix("runway://"))
        alive = upload is not None and upload["made"] + self._settings().upload_seconds > time.time()
        if upload is None or not alive or upload["account"] != account or upload["file"] is None:
            raise issue(path, "Invalid asset: the upload does not exist or has expired")
        return str(upload["file"])

    def _fetched(self, uri: str, kind: Kind, path: str) -> str:
        if uri.startswith("data:"):
            mime_type = uri[5:].partition(";")[0]
            if mime_type not in _TYPES[kind]:
                raise issue(path, f"Unsupported asset type: {mime_type or 'none'}")
            if len(uri) > _DATA_LIMIT:
                raise issue(path, f"Too big: data URIs may have {_DATA_LIMIT} characters")
        else:
            self._ask(uri, kind, path)
        try:
            file = self._inputs.fetch(uri, path, _URL_LIMITS[kind])
        except Refusal as refusal:
            raise issue(path, f"Failed to fetch asset. {refusal.message}") from refusal
        return self._vault.keep(file.path, file.sha256)

    def _ask(self, url: str, kind: Kind, path: str) -> None:
        """Send the HEAD before the GET, and check the URL and the answer. Raises Refusal."""
        parts = urlsplit(url)
        local = self._settings().local_inputs
        if parts.scheme != "https" and not (local and parts.scheme == "http"):
            raise issue(path, "Only HTTPS URLs are allowed.")
        if _is_address(parts.hostname or "") and not local:
            raise issue(path, "URLs must be hosted on a domain.")
        if len(url) > 2048:
            raise issue(path, "Too big: expected string to have <=2048 characters")
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "RunwayML API/1.0"})
        try:
            with _no_redirects.open(request, timeout=20) as answer:
                mime_type, length = answer.headers.get_content_type(), answer.headers.get("Content-Length")
        except urllib.error.HTTPError as error:
            message = f'Failed to fetch asset. Received HTTP response code "{error.code}".'
            raise issue(path, message) from error
        except (OSError, ValueError) as error:
            raise issue(path, "Failed to fetch asset. The URL may be incorrect or the server may be down.") from error
        if mime_type not in _TYPES[kind]:
            raise issue(path, f"Unsupported Content-Type: {mime_type}")
        if length is None or int(length) > _URL_LIMITS[kind]:
            raise issue(path, f"Invalid asset: expected a Content-Length of at most {_URL_LIMITS[kind]}")

    def _keep(self, upload: dict[str, Any]) -> None:
        self._uploads[upload["id"]] = upload
        self._store.put("upload", upload["id"], upload)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_no_redirects = urllib.request.build_opener(_NoRedirects)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
