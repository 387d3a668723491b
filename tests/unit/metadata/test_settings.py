"""What the metadata service may be told."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.metadata.settings import MetadataSettings


def test_database_is_a_file_in_the_data_folder(tmp_path: Path):
    settings = MetadataSettings(data_dir=tmp_path)

    assert settings.database == f"sqlite+aiosqlite:///{tmp_path}/metadata.db"
    assert settings.bind == "127.0.0.1:50052"


@pytest.mark.parametrize(
    "url", ["postgresql://x", "sqlite:///x.db", "sqlite+aiosqlite:///", "sqlite+aiosqlite:///:memory:"]
)
def test_database_that_is_not_a_file_is_refused(url: str):
    with pytest.raises(ValidationError, match="the database is a file"):
        MetadataSettings(url=url)


def test_url_is_no_news_for_the_log():
    assert "secret" not in repr(MetadataSettings(url="sqlite+aiosqlite:////tmp/secret.db"))
