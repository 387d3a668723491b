"""Settings of the storage service."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.storage.domain.placements import PLACEMENTS, changed
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


NO_PLACEMENTS = {
    "a name that leaves the folder": {"../x": {}},
    "the folder of uploads under way": {".incoming": {}},
    "a file of the service": {"signing.key": {}},
    "no name": {"": {}},
    "a name in capitals": {"Datasets": {}},
    "a misspelt attribute": {"datasets": {"on_errors": "fail"}},
    "a misspelt backend": {"datasets": {"backends": ["azur"]}},
    "no backend": {"datasets": {"backends": []}},
    "null for backends": {"datasets": {"backends": None}},
    "a backend twice": {"datasets": {"backends": ["local", "azure", "local"]}},
    "null for what cannot be null": {"datasets": {"on_error": None}},
    "null for access": {"datasets": {"access": None}},
    "null for a yes or no": {"datasets": {"keep_local_copy": None}},
    "an unknown policy": {"datasets": {"on_error": "ignore"}},
    "an unknown access": {"datasets": {"access": "secret"}},
    "a template without attributes": {"datasets": {"key_template": "data.csv"}},
    "an empty template": {"datasets": {"key_template": ""}},
    "a brace that stays open": {"datasets": {"key_template": "{user}/{file"}},
    "an attribute in capitals": {"datasets": {"key_template": "{user}/{File}"}},
    "a template that leaves its folder": {"datasets": {"key_template": "../{user}"}},
    "a template that begins with a slash": {"datasets": {"key_template": "/{user}"}},
    "an expiry in the past": {"datasets": {"expires_after": -1}},
    "an expiry that no calendar holds": {"datasets": {"expires_after": "P99999999D"}},
}


@pytest.mark.parametrize("wrong", NO_PLACEMENTS.values(), ids=NO_PLACEMENTS.keys())
def test_a_placement_that_could_not_work_is_refused_at_start(wrong):
    with pytest.raises(ValidationError):
        settings(placements=wrong)


def test_a_change_of_a_placement_changes_only_what_it_names():
    change = settings(placements={"projects": {"expires_after": None}, "drafts": {"key_template": "{a}/{b_c}"}})

    projects, drafts = (
        place
        for place in changed(PLACEMENTS, {name: each.wanted for name, each in change.placements.items()})
        if place.name in {"projects", "drafts"}
    )
    assert (projects.expires_after, projects.keep_local_copy) == (None, True)
    assert projects.backends == ("cloudinary", "local")
    assert (drafts.backends, drafts.attributes) == (("local",), {"a", "b_c"})


def test_a_setting_that_is_refused_is_not_repeated_in_the_error():
    """Standard error is a log, and the setting may be a secret."""
    with pytest.raises(ValidationError) as caught:
        settings(signing_key="canary")

    assert "canary" not in str(caught.value)
