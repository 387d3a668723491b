"""Kaggle's API on loopback, as far as datasets are downloaded by it: who asks is checked, lists come in pages, and a
download leads on to a store elsewhere, which knows no credentials and goes on where a download broke off.

    with kaggle() as server:
        server.add("ada/penguins", {"penguins.csv": b"..."})
        ...  # TRAINING_KAGGLE_URL=server.url
"""

import base64
import io
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.servers.web import Asked, Said, Web

USERNAME, KEY, TOKEN = "ada", "0123456789abcdef0123456789abcdef", "KGAT_fedcba9876543210"
SERVICE = "/v1/datasets.DatasetApiService/"
MODIFIED = "Sat, 01 Aug 2026 10:00:00 GMT"


@dataclass
class Stored:
    """A dataset: its files by version."""

    versions: list[dict[str, bytes]]
    private: bool = False
    zipped: set[str] = field(default_factory=set)
    """Files that come as a zip of one file, as large ones do."""


class Kaggle(Web):
    """A server that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.datasets: dict[str, Stored] = {}
        self.most_listed = 20
        self.faults: list[Said] = []
        """Answers of the API in place of the right ones, each once."""
        self.cuts: list[int] = []
        """Bytes after which downloads break off, each once."""
        self.cut_always: int | None = None
        self.chunked = False
        """Whether the store leaves unsaid how long a file is."""
        self.answer(f"{SERVICE}ListDatasetFiles", self._api(self._list))
        self.answer(f"{SERVICE}DownloadDataset", self._api(self._download))

    def add(self, dataset: str, *versions: dict[str, bytes], **facts) -> None:
        """Keep a dataset in these versions, the newest last."""
        self.datasets[dataset] = Stored(list(versions), **facts)

    def seen(self, method: str) -> list[dict]:
        """The requests to a method of the API."""
        return [json.loads(asked.body) for asked in self.asked if asked.path == SERVICE + method]

    def _api(self, method):
        def answering(asked: Asked) -> Said:
            if self.faults:
                return self.faults.pop(0)
            if not _is_known(asked.headers.get("authorization", "")):
                return problem(401, "Unauthenticated")
            request = json.loads(asked.body)
            stored = self.datasets.get(f"{request['ownerSlug']}/{request['datasetSlug']}")
            if stored is None:
                return problem(404, "Dataset not found")
            if stored.private:
                return problem(403, "Permission 'datasets.get' was denied")
            return method(stored, request)

        return answering

    def _list(self, stored: Stored, request: dict) -> Said:
        files = list(_version(stored, request).items())
        start = int(request.get("pageToken") or 0)
        end = start + min(request.get("pageSize") or 20, self.most_listed)
        listed = [
            {"name": name, "totalBytes": len(content), "creationDate": "2026-08-01T10:00:00.000Z"}
            for name, content in files[start:end]
        ]
        more = {"nextPageToken": str(end)} if end < len(files) else {}
        return _json(200, {"datasetFiles": listed, **more})

    def _download(self, stored: Stored, request: dict) -> Said:
        files, name = _version(stored, request), request.get("fileName")
        if name and name not in files:
            return problem(404, "File not found")
        content = files[name] if name else zipped(files)
        if name in stored.zipped:
            content = zipped({name.rpartition("/")[2]: content})
        # Another name for the same machine: what goes on to another host takes no credentials along.
        path = f"/store/{len(self.asked)}/{re.sub(r'[^A-Za-z0-9.]', '_', name or 'archive.zip')}"
        self.answer(path, lambda asked: self._give(asked, content))
        return Said(302, {"Location": f"http://localhost:{self.port}{path}?X-Goog-Signature=s3cr3t"})

    def _give(self, asked: Asked, content: bytes) -> Said:
        if "authorization" in asked.headers:
            return Said(400, body=b"Only one auth mechanism allowed")
        etag = f'"{hash(content)}"'
        headers = {"ETag": etag, "Last-Modified": MODIFIED, "Accept-Ranges": "bytes", "Content-Type": "text/csv"}
        cut_at = self.cuts.pop(0) if self.cuts else self.cut_always
        span = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        if span and asked.headers.get("if-range") == etag:
            start = int(span[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return Said(206, headers, content[start:], cut_at)
        return Said(200, headers | ({"Content-Length": ""} if self.chunked else {}), content, cut_at)


def _is_known(authorization: str) -> bool:
    basic = base64.b64encode(f"{USERNAME}:{KEY}".encode()).decode()
    return authorization in (f"Basic {basic}", f"Bearer {TOKEN}")


def _version(stored: Stored, request: dict) -> dict[str, bytes]:
    return stored.versions[(request.get("datasetVersionNumber") or 0) - 1]


def problem(status: int, message: str, **headers: str) -> Said:
    """A refusal in the words of the API."""
    return _json(status, {"code": status, "message": message}, headers)


def _json(status: int, body: dict, headers: dict | None = None) -> Said:
    return Said(
        status, {"Content-Type": "application/json; charset=utf-8"} | (headers or {}), json.dumps(body).encode()
    )


def zipped(files: dict[str, bytes]) -> bytes:
    """Files as a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@contextmanager
def kaggle() -> Iterator[Kaggle]:
    """A server for the block."""
    server = Kaggle()
    server.start()
    try:
        yield server
    finally:
        server.stop()
