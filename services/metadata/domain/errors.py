"""What can be wrong with a request for records. Every docstring is the message that its caller reads."""

from servicekit import errors


class FieldWrong(errors.InvalidInput):
    """The field {field} is wrong."""

    def __init__(self, field: str, **facts: object) -> None:
        super().__init__(field=field, **facts)
        self.field = field  # type: ignore[misc]  # one class stands for every field


class FieldMissing(FieldWrong):
    """{field} is missing. Give it a value."""


class FieldTooLong(FieldWrong):
    """{field} has {length} characters, and {limit} at most are kept. Shorten it."""


class FieldMalformed(FieldWrong):
    """{field} is {problem}. {advice}."""


class FieldNotOneOf(FieldWrong):
    """{field} is {value!r}, which it cannot be. Take one of: {choices}."""


class FieldNotUpdatable(FieldWrong):
    """{field} cannot be changed. The update mask may name: {choices}."""


class MaskEmpty(FieldWrong):
    """The update mask names no field. Name at least one of: {choices}."""


class PageTokenUnknown(errors.InvalidInput):
    """The page token is not one that this list gave. Begin at the first page, with the same filters throughout."""

    field = "page_token"


class FilterWrong(errors.InvalidInput):
    """The filter cannot be understood at character {position}: {problem}. See docs/filters.md for what it may say."""

    field = "filter"


class OrderWrong(errors.InvalidInput):
    """The records cannot be listed by {given!r}: {problem}. Write it as: create_time desc, name."""

    field = "order_by"


class QueryWordless(errors.InvalidInput):
    """The query has {count} words, and 1 to {limit} are looked for. A word is made of letters and digits."""

    field = "query"


class KindNotSearchable(FieldWrong):
    """No records of the kind {given!r} are found by words. Take some of: {choices}."""


class MetricNotANumber(errors.InvalidInput):
    """The metric {name} at step {step} is NaN, which is no measurement. Leave it out; infinities may stay."""

    field = "metrics"


class TooManyMetrics(errors.InvalidInput):
    """The batch has {count} metrics, and {limit} at most are taken at once. Send several batches."""

    field = "metrics"


class FieldsDisagree(FieldWrong):
    """{field} is {given} in one place and {expected} in another. Name the same one in both."""


class RecordNotFound(errors.NotFound):
    """There is no {label} {id}. List what there is, and take its id from there."""


class RecordExists(errors.AlreadyExists):
    """Another {label} has this {fields} already. Choose another, or use the one that is there."""


class ReferenceMissing(errors.NotReady):
    """{field} names the {label} {id}, which does not exist. Create it first, or leave the field empty."""


class RecordInUse(errors.NotReady):
    """The {label} {id} is still referred to by a {dependent}. Delete that first."""


class RecordChanged(errors.Conflict):
    """The {label} {id} has changed since it was read. Get it again, and repeat the change on that."""


class ArtifactBeingDeleted(errors.NotReady):
    """The artifact {id} is being deleted and cannot become active. Announce another one."""


class ArtifactGone(errors.NotReady):
    """The artifact {id} is {state}: its object is gone or never came. Announce another one."""


class ArtifactNotActive(errors.NotReady):
    """The artifact {id} is {state}, so its object cannot be elsewhere now. Only an active one is relocated."""


class ArtifactBytesDiffer(errors.NotReady):
    """These are not the bytes that the artifact {id} names: the checksums differ. Look at what was copied."""


class ArtifactStillActive(errors.NotReady):
    """The artifact {id} is active. Mark it as being deleted and delete its object before it is retired."""


class LeaseLost(errors.Conflict):
    """The job {id} is no longer held under fencing token {token}. Stop working on it; whoever claims it carries on."""


class JobEnded(errors.NotReady):
    """The job {id} has ended: it is {status}, and stays so. Get it to see what came of it."""


class JobNotFailed(errors.NotReady):
    """The job {id} is {status}, not failed. Only a failed or cancelled job can be queued again."""


class Stopping(errors.Unavailable):
    """The service is stopping. Watch again, and another replica, or the next start, goes on."""


class TooManyAtOnce(FieldWrong):
    """{field} has {count} entries, and 1 to {limit} are taken at once. Send several requests."""


class RunCannotBecome(errors.NotReady):
    """The run {id} is {status}, which does not lead to {wanted}. It may become: {choices}."""


class HyperparameterFixed(errors.AlreadyExists):
    """The run {id} has another value for {name}, which is fixed. Begin another run for the new one."""


class EmailOrPasswordWrong(errors.Unauthenticated):
    """No user has this email and this password. Check both."""


class SessionUnknown(errors.Unauthenticated):
    """No session has this token. Log in again."""


class SessionExpired(errors.Unauthenticated):
    """The session has expired. Log in again."""


class UsageLimitReached(errors.LimitReached):
    """Of {limit} {what} {used} are in use, so that {amount} more cannot be. Give some back, or take a larger tier."""


class ContextNotSaved(errors.NotFound):
    """No event context is saved for the campaign {id}. Save one first."""


class RecordTooLarge(errors.NotReady):
    """The {label} {key} has {size} bytes as JSON, and {limit} at most fit into a message. Make it smaller, then export again."""  # noqa: E501


class RecordMalformed(errors.InvalidInput):
    """Record {number} of a batch of {entity} cannot be read: {problem}. Nothing of the batch was written. Export again, with the same version of Modelyard."""  # noqa: E501

    field = "batch.records"


class BatchDamaged(errors.InvalidInput):
    """The batch of {entity} up to {position} does not have the hash that it came with. Send it again."""

    field = "batch.sha256"


class BatchOutOfOrder(errors.InvalidInput):
    """The batch of {entity} up to {position} is not in the order of an export. Send batches as they were exported."""

    field = "batch.position"


class ForeignRecords(errors.NotReady):
    """The database has records already, of {entity} for example, that are not of this import. Import into one that is empty."""  # noqa: E501


class ImportEnded(errors.NotReady):
    """The import {id} is complete, and nothing is added to it. Import into an empty database, under another id."""
