"""Modelyard from Python.

from modelyard.client import Client

with Client() as yard:
    job = yard.train("penguins.csv", target="species")
    for event in yard.watch(job.id):
        ...
    yard.download(yard.job(job.id).result.model_id, to="model.zip")
"""

import json
import mimetypes
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from modelyard.errors import ModelyardError, raise_for_problem, transport_errors
from modelyard.events import Watch
from modelyard.records import Dataset, Event, Health, Job, Model, Predictions, Record
from modelyard.storekeeping import Storekeeping
from modelyard.transfer import CHUNK_BYTES, CountedFile, Told, nobody, save_verified

Kind = TypeVar("Kind", bound=Record)
Answer = TypeVar("Answer")

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT = httpx.Timeout(30, connect=5, read=660)
"""The gateway waits up to ten minutes for what reads a whole dataset."""
IMPORT_TIMEOUT = httpx.Timeout(30, connect=5, read=6 * 3600)
ATTEMPTS = 3
PLAIN = {"Accept-Encoding": "identity"}


ARROW_FILE = "application/vnd.apache.arrow.file"
TABLES = {".arrow": ARROW_FILE, ".feather": ARROW_FILE, ".arrows": "application/vnd.apache.arrow.stream"}
"""Suffix to media type, besides those of images; any other file is taken for a CSV table."""


def media_type_of(path: Path) -> str:
    """What a file to predict for is, by its suffix."""
    known = mimetypes.guess_type(path.name)[0] or ""
    return known if known.startswith("image/") else TABLES.get(path.suffix.lower(), "text/csv")


class Client:
    """A connection to one Modelyard. Every method raises ModelyardError when it cannot do what its name says.

    It is closed by `close`, or at the end of a `with` block.
    """

    def __init__(self, base_url: str = DEFAULT_URL, api_key: str = "") -> None:
        self.base_url = base_url.rstrip("/")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        with transport_errors(self.base_url):
            self._http = httpx.Client(base_url=self.base_url, headers=headers, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def upload_dataset(
        self, path: str | Path, name: str | None = None, target: str | None = None, told: Told = nobody
    ) -> Dataset:
        """Store a file as a dataset, streamed from the disk. `told` hears how many bytes of how many have gone."""
        with CountedFile(Path(path), told) as file:
            query = _given(file_name=Path(path).name, name=name, target_column=target)
            length = {"Content-Length": str(file.length)}
            body = self._call("PUT", "/api/datasets/upload", params=query, content=file.chunks(), headers=length)
        return Dataset.model_validate(body)

    def import_dataset(
        self,
        *,
        kaggle: str | None = None,
        url: str | None = None,
        file: str | None = None,
        version: int | None = None,
        credentials: Mapping[str, str] | None = None,
        name: str | None = None,
        target: str | None = None,
        project_id: str | None = None,
    ) -> Dataset:
        """Have the server bring a dataset, from Kaggle ("owner/name") or from an https address on a host it lists.

        `file` is one of several at Kaggle, "*" for all as one zip. `credentials` are Kaggle's: username and key, or
        token; the server's own are used without them. Returns when it is stored, which may take as long as the file
        takes to arrive; the request is repeated when the connection breaks off or the server says that it may help,
        and stores one dataset all the same. Where nothing answers it fails at once.
        """
        if (kaggle is None) == (url is None):
            raise ModelyardError(0, "INVALID_REQUEST", "Give either kaggle, a dataset's name there, or a url.")
        source = "url" if kaggle is None else "kaggle"
        wanted = _given(
            source=source, dataset=kaggle, url=url, file=file, version=version, name=name, target_column=target,
            credentials=None if credentials is None else dict(credentials), project_id=project_id,
        )  # fmt: skip
        once = {"Idempotency-Key": uuid.uuid4().hex}
        body = _patiently(
            lambda: self._call("POST", "/api/datasets/import", json=wanted, headers=once, timeout=IMPORT_TIMEOUT)
        )
        return Dataset.model_validate(body)

    def list_datasets(self) -> Iterator[Dataset]:
        """All datasets, page by page as they are asked for."""
        return self._pages("/api/datasets", "datasets", Dataset)

    def get_dataset(self, dataset_id: str) -> Dataset:
        """One dataset, with its columns and first rows."""
        return Dataset.model_validate(self._call("GET", f"/api/datasets/{_part(dataset_id)}"))

    def delete_dataset(self, dataset_id: str) -> None:
        """Delete a dataset with its bytes."""
        self._call("DELETE", f"/api/datasets/{_part(dataset_id)}")

    def train(
        self,
        path: str | Path | None = None,
        *,
        dataset_id: str = "",
        target: str | None = None,
        engine: str | None = None,
        time_limit: int | None = None,
        presets: str | None = None,
        model_name: str | None = None,
        seed: int | None = None,
        test_fraction: float | None = None,
        eval_metric: str | None = None,
        project_id: str | None = None,
        task: str | None = None,
        workload: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        told: Told = nobody,
    ) -> Job:
        """Start training on a file, or on a stored dataset; what is not given is the server's choice.

        A file is a table, or a zip of images. `task` is general_ml, image_classification or object_detection; a
        `workload` that others added goes by its own name. `parameters` are those of the workload, as
        GET /api/workloads describes them; the others here are short for some of them. `time_limit` is in seconds,
        `test_fraction` the share of rows that is held out to score the model. The request is repeated when the
        connection breaks off or the server says that it may help; it starts one job all the same. Where nothing
        answers it fails at once.
        """
        if (path is None) == (not dataset_id):
            raise ModelyardError(0, "INVALID_REQUEST", "Give either a file or a dataset_id to train on.")
        wanted = _given(
            target=target, engine=engine, time_limit=time_limit, presets=presets, model_name=model_name, seed=seed,
            test_fraction=test_fraction, eval_metric=eval_metric, project_id=project_id, task_type=task,
            workload=workload, parameters=json.dumps(dict(parameters)) if parameters else None,
        )  # fmt: skip
        once = {"Idempotency-Key": uuid.uuid4().hex}
        if path is None:
            where = f"/api/automl/train/{_part(dataset_id)}"
            return _patiently(lambda: self._job("POST", where, json=wanted, headers=once))
        file = Path(path)
        return _patiently(lambda: self._train_on_file(file, wanted, once, told))

    def _train_on_file(self, path: Path, wanted: dict[str, Any], headers: dict[str, str], told: Told) -> Job:
        with CountedFile(path, told) as file:
            part = {"file": (path.name, file, "application/octet-stream")}
            return self._job("POST", "/api/train", data=wanted, files=part, headers=headers)

    def job(self, job_id: str) -> Job:
        """One job as it is now."""
        return self._job("GET", f"/api/jobs/{_part(job_id)}")

    def jobs(self) -> Iterator[Job]:
        """All jobs, newest first, page by page as they are asked for; the data of charts comes with `job` alone."""
        return self._pages("/api/jobs", "jobs", Job)

    def watch(self, job_id: str) -> Iterator[Event]:
        """Follow a job until it has ended: every change once, the last with `ended`.

        A broken connection is taken up again; where events do not come through, the job is asked for every second.
        """
        return Watch(self._http, _part(job_id), self.job).events()

    def cancel(self, job_id: str) -> Job:
        """Ask for a job to be stopped; it may take a moment until its status says `cancelled`."""
        return self._job("POST", f"/api/jobs/{_part(job_id)}/cancel")

    def models(self) -> Iterator[Model]:
        """All models, page by page as they are asked for."""
        return self._pages("/api/models", "models", Model)

    def model(self, model_id: str) -> Model:
        """One model, with its versions, features and leaderboard."""
        return Model.model_validate(self._call("GET", f"/api/models/{_part(model_id)}"))

    def predict(
        self, model_id: str, rows: Sequence[Mapping[str, Any]] | str | Path, *, version: int = 0, log: bool = False
    ) -> Predictions:
        """What a model answers for rows, for a CSV or Arrow file, or for an image; the newest version that is ready
        unless one is named. What a file is goes by its suffix.

        `log` keeps what is asked and answered as predictions of the registry: rows, or of a file its checksum.
        """
        where = f"/api/models/{_part(model_id)}" + (f"/versions/{version}" if version else "") + "/predict"
        if not isinstance(rows, str | Path):
            return Predictions.model_validate(self._call("POST", where, json={"rows": list(rows), "log": log}))
        with CountedFile(Path(rows), nobody) as file:
            kind = {"Content-Type": media_type_of(Path(rows)), "Content-Length": str(file.length)}
            query = {"log": log}
            body = self._call("POST", where, params=query, content=file.chunks(), headers=kind)
        return Predictions.model_validate(body)

    def download(self, model_id: str, to: str | Path = ".", told: Told = nobody) -> Path:
        """Fetch a model's zip, checked against its SHA-256, and say where it is; `to` is a file or a folder."""
        model = self.model(model_id)
        target = Path(to)
        if target.is_dir():
            target /= file_name_of(model)
        with (
            transport_errors(self.base_url),
            self._http.stream("GET", f"/api/models/{_part(model.id)}/download", headers=PLAIN) as response,
        ):
            raise_for_problem(response)
            sha256 = model.sha256 or response.headers.get("etag", "").removeprefix("W/").strip('"')
            total = int(response.headers.get("content-length", 0))
            save_verified(response.iter_raw(CHUNK_BYTES), target, sha256, total, told)
        return target

    @property
    def storage(self) -> Storekeeping:
        """The storage, for those who look after it."""
        return Storekeeping(self._http)

    def health(self) -> Health:
        """What works and what does not; it is an answer, not an error, that something does not."""
        with transport_errors(self.base_url):
            response = self._http.get("/readyz", timeout=15)
        if response.status_code not in (200, 503):
            raise_for_problem(response)
        return _understood(response, Health.model_validate)

    def _job(self, method: str, path: str, **request: Any) -> Job:
        return Job.model_validate(self._call(method, path, **request))

    def _call(self, method: str, path: str, **request: Any) -> Any:
        with transport_errors(self.base_url):
            response = self._http.request(method, path, **request)
        raise_for_problem(response)
        return _understood(response, dict)

    def _pages(self, path: str, key: str, kind: type[Kind]) -> Iterator[Kind]:
        token = ""
        while True:
            page = self._call("GET", path, params={"page_token": token} if token else {})
            yield from map(kind.model_validate, page[key])
            token = page.get("nextPageToken", "")
            if not token:
                return


def file_name_of(model: Model) -> str:
    """A name for a model's zip that is safe in any folder."""
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', model.name).strip('-') or model.id}-{model.version or 1}.zip"


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _part(name: str) -> str:
    """A name as one part of a path: what it holds cannot lead elsewhere."""
    if not re.fullmatch(r"[A-Za-z0-9_.:-]+", name) or not name.strip("."):
        raise ModelyardError(0, "INVALID_ID", f"{name!r} is no id.")
    return name


def _understood(response: httpx.Response, read: Callable[[Any], Answer]) -> Answer:
    try:
        return read(response.json())
    except ValueError as error:  # no JSON, or not of the shape that we know
        where = response.request.url
        raise ModelyardError(response.status_code, "NOT_MODELYARD", f"{where} is no Modelyard of ours.") from error


def _patiently(call: Callable[[], Answer]) -> Answer:
    """Repeat a call that is safe to repeat while it fails for reasons that may pass within seconds."""
    for attempt in range(1, ATTEMPTS):
        try:
            return call()
        except ModelyardError as error:
            if not error.retryable or error.code == "UNREACHABLE":
                raise
        time.sleep(attempt)
    return call()
