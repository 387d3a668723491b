"""The metadata service over a database, served in this very process; the only module here that knows a service."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from modelyard.errors import ModelyardError
from servicekit.channels import Channel
from servicekit.errors import Problem
from servicekit.server import serving

if TYPE_CHECKING:
    from services.metadata.settings import MetadataSettings

IMPORTING = "modelyard.metadata.v1.AdminService/ImportRecords"
"""Its messages cannot be sent a second time."""
DRAIN_SECONDS = 2.0


@asynccontextmanager
async def embedded_channel(url: str, **settings: Any) -> AsyncIterator[Channel]:
    """A channel to a metadata service over the database at an address, for the length of the block.

    It listens on a socket in a folder that is this user's alone. Raises ModelyardError when the database cannot be
    opened, without the address's password.
    """
    try:
        from services.metadata.bootstrap import bootstrap  # only for those who need it: with it come the drivers
    except ImportError as error:
        message = f"{error.name} is not installed. Install modelyard with the extra metadata: modelyard[metadata]."
        raise ModelyardError(0, "NOT_INSTALLED", message) from error
    with tempfile.TemporaryDirectory(prefix="modelyard-") as folder:
        address = f"unix:{folder}/metadata"
        chosen = _settings(url=url, bind=address, drain_seconds=DRAIN_SECONDS, **settings)
        try:
            async with bootstrap(chosen) as application, serving(application, address, chosen):
                channel = Channel(address, chosen.service_token.get_secret_value(), once=[IMPORTING])
                try:
                    yield channel
                finally:
                    await channel.close()
        except Problem as problem:
            raise ModelyardError(0, problem.reason, problem.message) from problem


def _settings(**told: Any) -> "MetadataSettings":
    from services.metadata.settings import MetadataSettings

    try:
        return MetadataSettings(**told)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ModelyardError(0, "SETTING_WRONG", f"The metadata service cannot be set up: {reason}.") from None
