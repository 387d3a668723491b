"""Runs the training service: python -m services.training."""

import sys
from functools import partial

from servicekit.logging import get_logger
from servicekit.server import run
from services.training.bootstrap import ScratchInUse, bootstrap
from services.training.settings import TrainingSettings


def main() -> None:
    """Serve until told to stop."""
    settings = TrainingSettings()
    try:
        run("training", settings, partial(bootstrap, settings))
    except ScratchInUse as taken:
        get_logger().error("cannot start", reason=str(taken))
        sys.exit(1)


if __name__ == "__main__":
    main()
