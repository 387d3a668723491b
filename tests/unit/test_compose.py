"""docker-compose.yml and the Dockerfile, checked without an engine."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gateway.settings import GatewaySettings
from servicekit.addresses import is_loopback
from services.metadata.settings import MetadataSettings
from services.storage.settings import StorageSettings
from services.training.settings import TrainingSettings
from tests.unit.documents import env_names

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "tests/data/compose-spec.json").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = {name: each for name, each in COMPOSE["services"].items() if "build" in each}
EMULATORS = {name: each for name, each in COMPOSE["services"].items() if name not in SERVICES}
FOLDERS = {"/data", "/var/lib/postgresql/data", "/var/lib/mysql", "/data/db"}
"""Where programs keep their data."""
SETTINGS = {
    "storage": StorageSettings,
    "metadata": MetadataSettings,
    "training": TrainingSettings,
    "gateway": GatewaySettings,
}


def test_the_file_is_valid_by_the_compose_specification():
    jsonschema.Draft201909Validator(SCHEMA).validate(COMPOSE)


def test_the_schema_refuses_what_is_wrong():
    """The check above means something: a misspelt key and a wrong type do not pass."""
    validator = jsonschema.Draft201909Validator(SCHEMA)

    assert not validator.is_valid({"services": {"a": {"imgae": "x"}}})
    assert not validator.is_valid({"services": {"a": {"image": 3}}})


def test_the_services_are_those_of_the_house_and_each_is_built_by_the_one_recipe():
    arguments = {name: service["build"]["args"]["SERVICE"] for name, service in SERVICES.items()}

    assert arguments == {name: name for name in SETTINGS}


def test_emulators_start_only_when_they_are_asked_for_and_are_those_that_the_tests_use():
    versions = json.loads((ROOT / "tests/servers/package.json").read_text())["dependencies"]

    assert {name: each["profiles"] for name, each in EMULATORS.items()} == {name: [name] for name in EMULATORS}
    assert {"azurite", "postgres", "mysql", "mongodb", "ray"} <= set(EMULATORS)
    assert f"azurite@{versions['azurite']}" in EMULATORS["azurite"]["command"]


def test_only_the_gateway_can_be_reached_and_only_from_this_machine():
    published = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}

    assert list(published) == ["gateway"]
    assert all(port.startswith("127.0.0.1:") for port in published["gateway"])
    assert COMPOSE["networks"]["inside"]["internal"] is True


@pytest.mark.parametrize("name", SETTINGS)
def test_every_service_says_how_healthy_it_is_on_the_port_it_listens_on(name):
    service = SERVICES[name]
    port = service["environment"][f"{name.upper()}_BIND"].rpartition(":")[2]
    command = service["healthcheck"]["test"]

    assert command[:4] == ["CMD", "python", "-m", "servicekit.probe"]
    assert re.search(rf"127\.0\.0\.1:{port}\b", command[4])


@pytest.mark.parametrize("name", SETTINGS)
def test_every_variable_is_a_setting_and_with_them_the_service_would_start(name, monkeypatch):
    """The file's own environment passes the service's own validation, secrets filled in."""
    environment = {key: filled(str(value)) for key, value in SERVICES[name]["environment"].items()}
    for key, value in environment.items():
        monkeypatch.setenv(key, value)

    settings = SETTINGS[name](_env_file=None)

    assert set(environment) <= set(env_names(SETTINGS[name]))
    assert not is_loopback(settings.bind)


def filled(value: str) -> str:
    """A value after interpolation, with something for what must be set."""
    given = {"MODELYARD_SERVICE_TOKEN": "t" * 32, "GATEWAY_API_KEYS": '{"ada": "' + "k" * 32 + '"}'}
    return re.sub(r"\$\{(\w+):([-?])(.*)\}", lambda found: given.get(found[1], found[3]), value)


@pytest.mark.parametrize("variable", ["MODELYARD_SERVICE_TOKEN", "GATEWAY_API_KEYS"])
def test_without_its_secrets_nothing_starts(variable):
    uses = [service["environment"][variable] for service in SERVICES.values() if variable in service["environment"]]

    assert uses
    assert all(use.startswith(f"${{{variable}:?") for use in uses)


def test_data_outlives_the_containers():
    services = COMPOSE["services"].values()
    mounted = [volume.partition(":") for service in services for volume in service.get("volumes", [])]

    assert sorted(name for name, _, _ in mounted) == sorted(COMPOSE["volumes"])
    assert all(folder in FOLDERS for _, _, folder in mounted)


def test_a_service_starts_after_those_it_needs_are_healthy():
    waits = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}

    assert set(waits["gateway"]) == {"storage", "metadata", "training"}
    assert set(waits["training"]) == {"storage"}
    assert all(wait["condition"] == "service_healthy" for needed in waits.values() for wait in needed.values())


def test_addresses_name_a_service_and_the_port_it_listens_on():
    binds = {name: SERVICES[name]["environment"][f"{name.upper()}_BIND"].rpartition(":")[2] for name in SERVICES}
    for service in SERVICES.values():
        for key, address in service["environment"].items():
            if key.endswith("_ADDRESS"):
                name = key.removesuffix("_ADDRESS").lower()

                assert address == (f"{name}:{binds[name]}" if name in binds else f"${{{key}:-}}")


def test_the_recipe_builds_every_extra_and_runs_without_root():
    recipe = (ROOT / "Dockerfile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    accepted = re.search(r'case "\$SERVICE" in ([a-z|]+)\)', recipe)

    assert accepted
    assert set(accepted[1].split("|")) == set(SETTINGS) <= set(extras)
    assert recipe.index("\nUSER modelyard") < recipe.index("\nCMD ")
    assert "FROM python:3.11-slim" in recipe


def test_what_the_recipe_copies_is_what_the_wheel_is_built_from():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {path.split("/")[0] for path in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert packages | {"pyproject.toml", project["project"]["readme"]} <= kept
