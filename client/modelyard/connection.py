"""How the command line finds the Modelyard to talk to."""

from typing import Annotated

import typer

from modelyard import yard
from modelyard.client import Client
from modelyard.settings import ClientSettings, client_settings

Url = Annotated[str, typer.Option("--url", help="Address of Modelyard; MODELYARD_URL or this machine when absent.")]


def settings_for(url: str = "") -> ClientSettings:
    """The settings, with the address that was given on the command line."""
    settings = client_settings()
    return settings.model_copy(update={"url": url}) if url else settings


def client_for(url: str) -> Client:
    """A client of the Modelyard that is meant: the given one, the one that runs here, or the configured one."""
    settings = settings_for(url)
    address = settings.url or yard.running_url(settings) or settings.server_url
    return Client(address, settings.api_key.get_secret_value())
