"""SHA-256 of files, hexadecimal."""

import hashlib
from pathlib import Path

from services.training.domain.errors import DatasetChanged
from services.training.domain.model import TrainingSpec


def fingerprint(path: Path) -> str:
    """That of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def dataset_fingerprint(spec: TrainingSpec, data: Path) -> str:
    """That of a dataset; DatasetChanged where it is not the one that was recorded."""
    found = fingerprint(data)
    if spec.dataset.sha256 and spec.dataset.sha256.lower() != found:
        raise DatasetChanged(found=found, expected=spec.dataset.sha256)
    return found
