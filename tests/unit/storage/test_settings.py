"""Settings of the storage service."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.storage.settings import StorageSettings


def settings(**values) -> StorageSettings:
    return StorageSettings(_env_file=None, **values)


def test_objects_lie_in_the_data_folder_unless_a_root_is_given(monkeypatch):
    monkeypatch.delenv("STORAGE_ROOT", raising=False)
    monkeypatch.setenv("MODELYARD_DATA_DIR", "/data")

    assert settings().objects == Path("/data/objects")
    assert settings(root="").objects == Path("/data/objects")
    assert settings(root="/elsewhere").objects == Path("/elsewhere")


def test_a_signing_key_is_long_and_never_shown():
    with pytest.raises(ValidationError):
        settings(signing_key="short")

    assert "x" * 32 not in repr(settings(signing_key="x" * 32))


@pytest.mark.parametrize("ttl", [0, -1, 7 * 24 * 3600 + 1])
def test_addresses_work_for_a_second_to_seven_days(ttl):
    with pytest.raises(ValidationError):
        settings(sign_ttl=ttl)
