"""What becomes of settings that cannot be used: a line for each, by the name of its variable, and no stack."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from gateway.settings import GatewaySettings
from modelyard.errors import ModelyardError
from modelyard.settings import client_settings
from servicekit.settings import SettingsWrong, read
from services.metadata.settings import MetadataSettings
from services.storage.settings import StorageSettings
from services.training.settings import TrainingSettings

PROCESSES = ["gateway", "services.storage", "services.metadata", "services.training"]
SECRET = "hunter2"
NO_ADDRESS = "is no address; give a host and a port up to 65535, like 127.0.0.1:8000."
FINITE, YEAR = "Input should be a finite number.", "Input should be less than or equal to 31622400."

WRONG = [
    (GatewaySettings, "GATEWAY_JOB_SLOTS", "0", "Input should be greater than or equal to 1."),
    (GatewaySettings, "GATEWAY_BIND", "127.0.0.1", f"'127.0.0.1' {NO_ADDRESS}"),
    (GatewaySettings, "GATEWAY_BIND", "127.0.0.1:70000", f"'127.0.0.1:70000' {NO_ADDRESS}"),
    (GatewaySettings, "GATEWAY_BIND", "unix:/tmp/gateway", f"'unix:/tmp/gateway' {NO_ADDRESS}"),
    (GatewaySettings, "STORAGE_ADDRESS", "storage", f"'storage' {NO_ADDRESS}"),
    (GatewaySettings, "GATEWAY_PENDING_UPLOAD_SECONDS", "inf", FINITE),
    (GatewaySettings, "GATEWAY_PENDING_UPLOAD_SECONDS", "1e300", YEAR),
    (GatewaySettings, "GATEWAY_UPKEEP_SECONDS", "1e300", YEAR),
    (TrainingSettings, "TRAINING_SECONDS", "nan", FINITE),
    (TrainingSettings, "TRAINING_FETCH_SECONDS", "1e300", YEAR),
    (TrainingSettings, "TRAINING_ARTIFACT_HOURS", "1e5", "Input should be less than or equal to 8784."),
    (TrainingSettings, "TRAINING_BIND", "127.0.0.1:99999", f"'127.0.0.1:99999' {NO_ADDRESS}"),
    (TrainingSettings, "TRAINING_PEERS", '["one:50053","two"]', f"'two' {NO_ADDRESS}"),
    (TrainingSettings, "TRAINING_RAY_ADDRESS", "ray://head", f"'head' {NO_ADDRESS}"),
    (TrainingSettings, "TRAINING_KAGGLE_URL", "kaggle", "this is no address of the web; give one like https://host."),
    (MetadataSettings, "METADATA_POOL_RECYCLE_SECONDS", "inf", FINITE),
    (StorageSettings, "AZURE_ACCOUNT_URL", "me", "this is no address of the web; give one like https://host."),
]

RIGHT = [
    (GatewaySettings, "GATEWAY_BIND", "[::1]:0"),
    (GatewaySettings, "STORAGE_ADDRESS", "dns:///storage:50051"),
    (GatewaySettings, "STORAGE_ADDRESS", "unix:/run/storage"),
    (GatewaySettings, "GATEWAY_UPKEEP_SECONDS", "0"),
    (TrainingSettings, "TRAINING_PEERS", "training:50053"),
    (TrainingSettings, "TRAINING_PEERS", '["one:50053","two:50053"]'),
    (TrainingSettings, "TRAINING_RAY_ADDRESS", "ray://head.example:10001"),
    (TrainingSettings, "TRAINING_RAY_ADDRESS", "10.0.0.7:6379"),
    (TrainingSettings, "TRAINING_KAGGLE_URL", "http://127.0.0.1:8080"),
    (StorageSettings, "STORAGE_BIND", "unix:/run/storage"),
    (StorageSettings, "AZURE_ACCOUNT_URL", "https://me.blob.core.windows.net"),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch):
    """No .env of the person who runs the tests is read."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("kind", "name", "value", "sentence"), WRONG)
def test_a_wrong_setting_is_told_by_its_variable(kind: type[BaseSettings], name, value, sentence, monkeypatch):
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsWrong) as raised:
        read(kind)

    assert str(raised.value) == f"{name}: {sentence}"


@pytest.mark.parametrize(("kind", "name", "value"), RIGHT)
def test_what_can_be_used_is_taken(kind: type[BaseSettings], name, value, monkeypatch):
    before = read(kind)
    monkeypatch.setenv(name, value)

    assert read(kind) != before


def test_all_that_is_wrong_is_told_at_once(monkeypatch):
    monkeypatch.setenv("MODELYARD_LOG_LEVEL", "loud")
    monkeypatch.setenv("GATEWAY_JOB_SLOTS", "many")

    with pytest.raises(SettingsWrong, match=r"MODELYARD_LOG_LEVEL: .*\nGATEWAY_JOB_SLOTS: .*integer\.$"):
        read(GatewaySettings)


def test_settings_that_do_not_go_together_are_told(monkeypatch):
    monkeypatch.setenv("GATEWAY_BIND", "0.0.0.0:8000")

    with pytest.raises(SettingsWrong, match=r"^0\.0\.0\.0:8000 can be reached .* set GATEWAY_API_KEYS"):
        read(GatewaySettings)


def test_a_setting_of_several_names_is_told_by_all_of_them(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"oracle://ada:{SECRET}@host/db")

    with pytest.raises(SettingsWrong, match=r"^METADATA_URL or DATABASE_URL or .*: the database is") as raised:
        read(MetadataSettings)

    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (SECRET, "GATEWAY_API_KEYS is no JSON; write it as .env.example says."),
        (f'{{"ada":"{SECRET}"}}', "GATEWAY_API_KEYS: an API key has at least 16 characters"),
        (f'["{SECRET}"]', "GATEWAY_API_KEYS: Input should be a valid dictionary."),
        (f'{{"ada":["{SECRET}"]}}', "GATEWAY_API_KEYS.ada: Input should be a valid string."),
    ],
)
def test_a_secret_that_cannot_be_used_is_not_told(value, said, monkeypatch):
    monkeypatch.setenv("GATEWAY_API_KEYS", value)

    with pytest.raises(SettingsWrong) as raised:
        read(GatewaySettings)

    assert str(raised.value).startswith(said)
    assert SECRET not in str(raised.value)


def test_the_client_tells_it_as_its_own_error(monkeypatch):
    monkeypatch.setenv("MODELYARD_START_SECONDS", "soon")

    with pytest.raises(ModelyardError, match=r"^MODELYARD_START_SECONDS: .*number") as raised:
        client_settings()

    assert raised.value.code == "SETTINGS_WRONG"


def start(module: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    bind = {f"{module.rpartition('.')[2].upper()}_BIND": "127.0.0.1:0"}
    environment = os.environ | bind | {"MODELYARD_DATA_DIR": str(folder)} | settings
    whole = [sys.executable, "-m", module]
    return subprocess.run(whole, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("module", PROCESSES)
def test_a_process_with_a_wrong_setting_ends_with_a_line_on_it(module: str, tmp_path: Path):
    ended = start(module, tmp_path, MODELYARD_LOG_LEVEL="loud")

    first, second = ended.stderr.splitlines()
    assert (ended.returncode, first) == (1, f"{module.rpartition('.')[2]} cannot start:")
    assert second == "MODELYARD_LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'."


@pytest.mark.parametrize("module", PROCESSES[1:])
def test_a_process_whose_folder_cannot_be_one_ends_with_a_line_on_it(module: str, tmp_path: Path):
    (tmp_path / "file").touch()

    ended = start(module, tmp_path, MODELYARD_DATA_DIR=str(tmp_path / "file"), MODELYARD_LOG_FORMAT="json")

    assert ended.returncode == 1
    assert '"event": "cannot start"' in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("url", ["mysql://ada:hunter2@host:99999999/db", "postgresql://ada:hunter2@host:port/db"])
def test_an_address_of_a_database_with_no_port_is_refused_and_not_waited_for(url: str, tmp_path: Path):
    ended = start("services.metadata", tmp_path, METADATA_URL=url)

    assert ended.returncode == 1
    assert "with a port between 1 and 65535" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert SECRET not in ended.stderr


def test_metrics_whose_port_is_taken_are_told(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = start("services.metadata", tmp_path, METADATA_METRICS_PORT=str(taken.getsockname()[1]))

    assert ended.returncode == 1
    assert "Address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr
