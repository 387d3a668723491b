"""Names at Azure: a container for a placement, a blob for a key, and what is written into addresses and headers.

A blob is called by its key. But Azure drops a dot at the end of a segment, so that "a." and "a" would be one blob:
such a segment gets a "%" at its end, and so does one that already looks like that.
"""

import hashlib
import re
import uuid
from collections.abc import Mapping
from urllib.parse import quote

from services.storage.domain.errors import BackendNotConfigured, InvalidKey
from services.storage.domain.model import ObjectName

MOST_SEGMENTS = 254
PROBE = ".modelyard-probe"
"""A blob that never comes to be; its name is a key like any other all the same."""

_DOT_AT_END = re.compile(r"\.%*$")
_MARKED = re.compile(r"\.%+$")
_UNFIT = re.compile("[\ufffe\uffff]")


def container_of(placement: str, containers: Mapping[str, str], backend: str) -> str:
    """The container of a placement: the one it is given, else one of its own name. Two never share one."""
    container = containers.get(placement, placement)
    others = [other for other, named in containers.items() if named == container and other != placement]
    if others:
        why = f"{placement} and {others[0]} would share the container {container}"
        raise BackendNotConfigured(backend=backend, why=why)
    return container


def blob_of(key: str) -> str:
    """The name of the blob of a key. Fails with InvalidKey where Azure has no name for it."""
    if why := wrong_at_azure(key):
        raise InvalidKey(why=why)
    return "/".join(map(_marked, key.split("/")))


def wrong_at_azure(key: str) -> str:
    """Why a valid key cannot be the name of a blob; empty when it can."""
    if key.count("/") >= MOST_SEGMENTS:
        return f"Azure takes at most {MOST_SEGMENTS} segments"
    return "it holds a character that Azure does not take" if _UNFIT.search(key) else ""


def start_of(prefix: str) -> str:
    """What the names of all blobs start with whose keys start with a prefix; others may start with it as well."""
    *whole, last = prefix.split("/")
    return "/".join([*map(_marked, whole), last])


def key_of(blob: str) -> str:
    """The key of the blob with a name."""
    return "/".join(segment[:-1] if _MARKED.search(segment) else segment for segment in blob.split("/"))


def _marked(segment: str) -> str:
    return segment + "%" if _DOT_AT_END.search(segment) else segment


def sent_blob(name: ObjectName, request_id: str) -> str:
    """Where the bytes of a direct upload wait until they are committed."""
    told = "\0".join((name.placement, name.key, request_id))
    return f"{name.placement}/{hashlib.sha256(told.encode()).hexdigest()}"


def upload_id() -> str:
    """Begins the ids of the blocks of one upload, so that those of two writers never mix."""
    return uuid.uuid4().hex


def block_id(upload: str, number: int) -> str:
    """The id of a block. All ids of a blob are equally long, as Azure wants them."""
    return f"{upload}-{number:06}"


def path_of(container: str, blob: str) -> str:
    """The path of a blob in addresses."""
    return f"{container}/{quote(blob, safe='/~')}"
