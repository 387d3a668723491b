"""Addresses of assets: for delivery, and for private downloads that expire."""

from datetime import datetime

from cloudinary import utils

from services.storage.adapters.cloudinary.account import CloudinaryAccount
from services.storage.adapters.cloudinary.names import TYPES, AssetName
from services.storage.domain.model import Access


def delivery_address(
    account: CloudinaryAccount, name: AssetName, version: int, extension: str = "", signed: bool = False
) -> str:
    """Where an asset is delivered from.

    The version is part of it: a network of caches may serve old bytes at an address long after they were replaced. An
    authenticated asset answers only at its signed address, which never expires, so it is to be kept secret.
    """
    address, _ = utils.cloudinary_url(
        name.public_id,
        resource_type=name.resource_type,
        type=name.type,
        version=version,
        format=extension if name.resource_type == "image" else None,
        sign_url=signed and name.type != TYPES[Access.PUBLIC],
        **account.delivery_options,
    )
    return str(address)


def download_address(
    account: CloudinaryAccount, name: AssetName, extension: str, file_name: str, expires: datetime
) -> str:
    """Where whoever holds it may download an asset until it expires, as a file with a name."""
    address = utils.private_download_url(
        name.public_id,
        extension if name.resource_type == "image" else "",
        resource_type=name.resource_type,
        type=name.type,
        attachment=file_name or True,
        expires_at=int(expires.timestamp()),
        **account.options,
    )
    return str(address)
