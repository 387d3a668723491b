"""Real tables, written as the CSV files that people upload."""

from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

LOADERS = {"wine": load_wine, "cancer": load_breast_cancer, "diabetes": load_diabetes}


@pytest.fixture(scope="session")
def tables(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tables")
    for name, load in LOADERS.items():
        load(as_frame=True).frame.to_csv(folder / f"{name}.csv", index=False)
    return {name: folder / f"{name}.csv" for name in LOADERS}


@pytest.fixture
def write(tmp_path):
    """Writes text, bytes or a frame to a file."""

    def write(content: str | bytes | pd.DataFrame, name: str = "data.csv") -> Path:
        path = tmp_path / name
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
