"""`python -m services.training` serves trainings."""

from servicekit.server import run
from services.training.bootstrap import bootstrap
from services.training.settings import TrainingSettings

if __name__ == "__main__":
    run("training", TrainingSettings, bootstrap)
