"""Fixtures: the whole house, shared by tests that leave it standing, or one of their own for those that do not."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.house import ROOT, House

PENGUINS = ROOT / "client" / "modelyard" / "samples" / "penguins.csv"


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that all tests of a session share; nobody is killed in it."""
    folder = tmp_path_factory.mktemp("house")
    shared = House(folder)
    shared.start()
    try:
        shared.wait_ready()
        yield shared
    finally:
        shared.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def http(house: House) -> Iterator[httpx.Client]:
    """A client of the shared house."""
    with httpx.Client(base_url=house.url, timeout=280) as client:
        yield client


@pytest.fixture(scope="session")
def penguins() -> Path:
    """The real data that ships with the project."""
    return PENGUINS
