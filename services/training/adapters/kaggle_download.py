"""Downloads from Kaggle by its own client, in a worker process. It blocks."""

import errno
import resource
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servicekit.durability import no_space
from servicekit.errors import Problem
from services.training.domain.elsewhere import (
    EVERYTHING,
    TABLES,
    CredentialsRefused,
    Fetched,
    FileTooLarge,
    KaggleBusy,
    KaggleCredentials,
    KaggleDown,
    KaggleForbids,
    KaggleMissing,
    KaggleRefuses,
    KaggleWish,
    NotOneFile,
    UnknownAtKaggle,
    seconds_to_wait,
)
from services.training.domain.fetching import ScratchFull
from services.training.domain.messages import KaggleTask
from services.training.workloads.kit import archive

if TYPE_CHECKING:
    from requests import Response

PAGE_FILES, MOST_PAGES = 200, 10
"""Files that are looked at to choose among them; a dataset of more is made of images, or has to be told which."""
RETRIES = 2


def download(task: KaggleTask, credentials: KaggleCredentials, folder: Path) -> Fetched:
    """Write a file of a dataset to `folder / "dataset"`. Raises the errors of domain.elsewhere, and ScratchFull."""
    wish, path = task.wish, folder / "dataset"
    client = _client(credentials, task.url)
    # Whatever the other side says or leaves unsaid: no file becomes larger.
    resource.setrlimit(resource.RLIMIT_FSIZE, (task.limit_bytes, task.limit_bytes))
    with _told(task, f"{wish.file} in {wish.dataset}" if wish.file else wish.dataset):
        chosen = wish.choose(() if wish.file else _files(client, wish))
        # An archive is downloaded beside the place to which its one file is unpacked.
        arrived = folder / "download"
        _download(client, wish, chosen, arrived, task.limit_bytes)
        if chosen.lower().endswith(TABLES) and zipfile.is_zipfile(arrived):
            _unpack(arrived, path, chosen)
        else:
            arrived.rename(path)
    name = f"{wish.name}.zip" if chosen == EVERYTHING else chosen.rpartition("/")[2]
    return Fetched(name, path.stat().st_size)


def _client(credentials: KaggleCredentials, url: str) -> Any:
    try:
        from kaggle.api.kaggle_api_extended import KaggleApi
    except ImportError as error:
        raise KaggleMissing from error
    given = (
        {"api_token": credentials.token}
        if credentials.token
        else {"username": credentials.username, "password": credentials.key}
    )
    client = KaggleApi.build_kaggle_client_with_params(args=[], **given)
    if url:
        client.http_client()._endpoint = url.rstrip("/")  # its environments are a fixed list
    return client


def _files(client: Any, wish: KaggleWish) -> list[str]:
    """Paths of the dataset's files, the first thousands of them."""
    from kagglesdk.datasets.types.dataset_api_service import ApiListDatasetFilesRequest

    names: list[str] = []
    request = _about(ApiListDatasetFilesRequest(), wish)
    request.page_size = PAGE_FILES
    for _ in range(MOST_PAGES):
        page = client.datasets.dataset_api_client.list_dataset_files(request)
        names += [file.name for file in page.files]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    return names


def _download(client: Any, wish: KaggleWish, chosen: str, path: Path, limit_bytes: int) -> None:
    from kaggle.api.kaggle_api_extended import KaggleApi
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

    request = _about(ApiDownloadDatasetRequest(), wish)
    if chosen != EVERYTHING:
        request.file_name = chosen
    response = client.datasets.dataset_api_client.download_dataset(request)
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > limit_bytes:
        raise FileTooLarge(limit=limit_bytes)
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise KaggleDown(trouble="it answers with a web page")
    # Its client goes on where a connection broke off, and checks the length at the end, where there is one.
    retries = RETRIES if length else 0
    KaggleApi().download_file(response, str(path), client.http_client(), quiet=True, max_retries=retries)


def _about(request: Any, wish: KaggleWish) -> Any:
    request.owner_slug, request.dataset_slug = wish.owner, wish.name
    request.dataset_version_number = wish.version or None
    return request


def _unpack(packed: Path, path: Path, chosen: str) -> None:
    """Large tables come as a zip of one file."""
    with archive.opened(packed) as found:
        if len(found.members) != 1:
            raise NotOneFile(file=chosen, found=len(found.members))
        with found.open(found.members[0].path) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, 1024 * 1024)


@contextmanager
def _told(task: KaggleTask, what: str) -> Iterator[None]:
    """What fails in the block, as a sentence. None of the client's own words is in it: they may hold a secret."""
    from requests import HTTPError, RequestException
    from urllib3.exceptions import HTTPError as TransportError

    try:
        yield
    except HTTPError as error:
        raise _refusal(error.response, what) from error
    except (RequestException, TransportError, zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise KaggleDown(trouble="the connection failed or broke off") from error
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise FileTooLarge(limit=task.limit_bytes) from error
        if no_space(error):
            raise ScratchFull from error
        raise


def _refusal(response: "Response | None", what: str) -> Problem:
    if response is None:
        return KaggleDown(trouble="it refuses, and does not say why")
    match status := response.status_code:
        case 401:
            return CredentialsRefused()
        case 403:
            return KaggleForbids(what=what)
        case 404:
            return UnknownAtKaggle(what=what)
        case 429:
            return KaggleBusy(after_seconds=seconds_to_wait(response.headers.get("Retry-After", "")))
        case _ if 400 <= status < 500:
            return KaggleRefuses(status=status)
    return KaggleDown(trouble=f"it answers with status {status}")
