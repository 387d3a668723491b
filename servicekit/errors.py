"""Errors as the domain raises them: they know neither gRPC nor HTTP.

The docstring of an error is its message: one sentence on what is wrong, then what to do about it. Its fields are
filled in from the keyword arguments:

    class ObjectNotFound(NotFound):
        \"\"\"There is no object {key} in {placement}. List the placement to see what there is.\"\"\"

    raise ObjectNotFound(key="a/b", placement="models")
"""

import inspect
import re
from typing import ClassVar

RETRY_AFTER_SECONDS = 2


class CannotStart(Exception):
    """A process does not find what it needs; the message is for whoever starts it."""


class Problem(Exception):
    """Something went wrong that the caller can be told about."""

    field: ClassVar[str] = ""  # the request's field that is wrong, for InvalidInput

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        template = " ".join(inspect.cleandoc(type(self).__doc__ or "").split())
        super().__init__(template.format(**facts))

    @property
    def message(self) -> str:
        """What is wrong and what to do, for people."""
        return str(self)

    @property
    def after_seconds(self) -> int:
        """When to repeat the request, where that may help: what is known of it, or a moment later."""
        return int(str(self.facts.get("after_seconds", RETRY_AFTER_SECONDS)))

    @property
    def reason(self) -> str:
        """The error's name for programs: ObjectNotFound becomes OBJECT_NOT_FOUND, NotANumber NOT_A_NUMBER."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(self).__name__).upper()


class InvalidInput(Problem):
    """The request is wrong whatever the state of the system."""


class OutOfRange(Problem):
    """The request reads beyond the end."""


class Unauthenticated(Problem):
    """The request does not say who makes it."""


class Denied(Problem):
    """The caller may not do this."""


class NotFound(Problem):
    """What the request names does not exist."""


class AlreadyExists(Problem):
    """What the request would create exists."""


class NotReady(Problem):
    """The system is not in the state that the request needs; repeating it unchanged does not help."""


class Conflict(Problem):
    """Somebody else changed it at the same time; read it again and repeat."""


class Exhausted(Problem):
    """Something has run out; repeating the request later may help."""


class LimitReached(Exhausted):
    """The caller has all that it may have; repeating the request does not help before something is given back."""


class Unavailable(Problem):
    """Something it needs cannot be reached; repeating the request helps once it can."""


class TooLate(Problem):
    """It took longer than the caller was willing to wait."""


class Stopped(Problem):
    """The caller, or somebody on their behalf, stopped it."""


class DataLoss(Problem):
    """Bytes are not what they were."""
