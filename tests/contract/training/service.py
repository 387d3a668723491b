"""Runs the training service with the fake workloads, as its __main__ runs it with the real ones."""

from functools import partial

from servicekit.server import run
from services.training.bootstrap import bootstrap
from services.training.settings import TrainingSettings
from tests.contract.training.conftest import FAKES

if __name__ == "__main__":
    run("training", TrainingSettings, partial(bootstrap, workloads=FAKES))
