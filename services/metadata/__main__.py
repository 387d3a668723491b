"""`python -m services.metadata` serves metadata."""

from functools import partial

from servicekit.server import run
from services.metadata.bootstrap import bootstrap
from services.metadata.settings import MetadataSettings

if __name__ == "__main__":
    settings = MetadataSettings()
    run("metadata", settings, partial(bootstrap, settings))
