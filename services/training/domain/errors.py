"""What can be wrong with a training: the file, the request, the machine. Each docstring is the sentence people read."""

from servicekit.errors import DataLoss, Exhausted, InvalidInput, NotFound, NotReady, Stopped, TooLate, Unavailable

# The file.


class EmptyFile(InvalidInput):
    """The file is empty. Choose a CSV file with a header row and at least {minimum} rows of data, or a zip of
    images."""

    field = "file"


class NotText(InvalidInput):
    """The file is neither a text table nor a zip of images: {evidence}. Save a table as CSV, best in UTF-8, and send
    that; pack images into a zip."""

    field = "file"


class NoHeader(InvalidInput):
    """The first row holds no column names: {evidence}. Put a row with each column's name at the top of the file."""

    field = "file"


class NoRows(InvalidInput):
    """The file has a header row and nothing below it. Add at least {minimum} rows of data."""

    field = "file"


class TooFewRows(InvalidInput):
    """There are only {found} rows {which}, and training needs at least {minimum}. Add more rows."""

    field = "file"


class DuplicateColumns(InvalidInput):
    """More than one column is named {names}. Give each column a name of its own."""

    field = "file"


class UnreadableRow(InvalidInput):
    """Line {line} of the file cannot be read: {trouble}. Correct that line; a value that contains the delimiter or a
    line break has to stand in double quotes."""

    field = "file"


class TooManyColumns(InvalidInput):
    """The file has {found} columns, and at most {limit} can be read. Leave out columns that are not needed."""

    field = "file"


class ArchiveNoTable(InvalidInput):
    """The file is a zip archive, and this workload learns from a table. Send the table itself, unpacked; for a zip of
    images, ask for the task image_classification or object_detection."""

    field = "file"


class ArchiveBroken(InvalidInput):
    """The file is no zip archive that can be read: {trouble}. Make the archive anew and send that."""

    field = "file"


class ArchiveUnsafe(InvalidInput):
    """The archive is refused: {trouble}. Make an archive of plain files and folders and send that."""

    field = "file"


class ArchiveBomb(InvalidInput):
    """The archive is refused: {trouble}. Send a smaller archive, packed in the usual way."""

    field = "file"


class UnreadableImage(InvalidInput):
    """The image cannot be read: {trouble}. Send a JPEG, PNG, WebP, GIF, BMP, TIFF or PNM."""

    field = "rows"


class BadImages(InvalidInput):
    """{count} of the {total} images cannot be read, the first of them {name}: {trouble}. Correct or remove them."""

    field = "file"


class BadLayout(InvalidInput):
    """The archive does not hold what the workload learns from: {trouble}"""

    field = "file"


# The request.


class UnknownWorkload(InvalidInput):
    """There is no workload named {name!r}. Choose one of: {known}."""

    field = "workload"


class BadParameters(InvalidInput):
    """The parameters are not right: {trouble}. The workload's parameters are: {known}."""

    field = "parameters"


class ParametersNotJson(InvalidInput):
    """A number in the parameters is NaN or infinite, which JSON does not have. Give another number, or leave the
    parameter out."""

    field = "parameters"


class BadFormat(InvalidInput):
    """A table cannot be read in the format that was given: {trouble}. The delimiter is a comma, a semicolon, a tab or
    |, the encoding one of Python's by its name; each may be left out."""

    field = "format"


class UnknownEngine(InvalidInput):
    """There is no engine named {name!r}. Choose one of: {known}."""

    field = "parameters"


class UnfitMetric(InvalidInput):
    """The metric {metric} cannot be used: {why}. Leave out eval_metric, or choose one of: {known}."""

    field = "parameters"


class TargetNotFound(InvalidInput):
    """There is no column named {target!r} in the data. {suggestion}"""

    field = "target"


class TargetNotNumeric(InvalidInput):
    """The target column {target!r} holds values that are not numbers, such as {example!r}, and regression predicts
    numbers. Write them as plain numbers, without units or what parts thousands, leave out the problem type, or choose
    another column."""

    field = "target"


class TargetTooLarge(InvalidInput):
    """The target column {target!r} holds numbers as large as {largest}, and at most {limit} can be learned. Divide the
    column by a power of ten, or take its logarithms."""

    field = "target"


class TargetTooFine(InvalidInput):
    """The values of the target column {target!r} differ by {spread} at most, and less than {limit} cannot be learned.
    Multiply the column by a power of ten."""

    field = "target"


class OneClass(InvalidInput):
    """The target column {target!r} has the same value, {value!r}, in every row that has one, so there is nothing to
    tell apart; an empty cell and words such as NA, None and null are no values. Choose another column, or add rows with
    other values."""

    field = "target"


class TooManyClasses(InvalidInput):
    """The target column {target!r} has {classes} different values in {rows} rows, too many to learn as classes.
    Choose another column, or ask for regression if its values are numbers."""

    field = "target"


class ClassTooLong(InvalidInput):
    """The target column {target!r} has a class of {length} characters, {label!r}, and at most {limit} can be told.
    Give its classes short names, or choose another column."""

    field = "target"


class ClassesTooLong(InvalidInput):
    """The {classes} classes of the target column {target!r} have {length} characters in all, and at most {limit} can be
    told. Give them shorter names, or choose another column."""

    field = "target"


class NotBinary(InvalidInput):
    """The target column {target!r} has {classes} different values, and a binary problem has exactly two. Leave out the
    problem type, or choose a column with two values."""

    field = "problem_type"


class UnfitProblem(InvalidInput):
    """This workload does not solve a problem of type {asked}. Leave the problem type out, or give one of: {known}."""

    field = "problem_type"


class BadBackbone(InvalidInput):
    """The backbone {name!r} cannot be used: {trouble}. There are: {known}. Without one, a network is trained from
    scratch."""

    field = "parameters"


# The data as a whole, and the machine.


class NoFeatures(InvalidInput):
    """There is no column left to predict {target!r} from: every other column is empty, has one value only, or has
    another text in nearly every row. Add columns that say something about the target."""

    field = "file"


class EngineUnavailable(NotReady):
    """The engine {engine!r} is not installed here. Train with another engine, or install {package}."""

    field = "parameters"


class FamiliesUnavailable(NotReady):
    """None of the model families that were asked for can be fitted here ({families}): what is missing is {needs}. Ask
    for other families, or install what is missing."""

    field = "parameters"


class EngineFailed(NotReady):
    """The engine {engine!r} could not train any model on this data: {trouble}. Give it a longer time_limit or more
    rows, or train with engine 'quick'."""


class FitRefused(NotReady):
    """The engine {engine!r} could not train any model as it was asked to: {trouble}. Change the parameters or the
    columns that this is about, or train with engine 'quick'."""

    field = "parameters"


class LossDiverged(NotReady):
    """The network could not be trained: its loss stopped being a number. Give it a smaller learning_rate."""

    field = "parameters"


class NoSpace(Exhausted):
    """There is no room on the disk to train: {needed} bytes are needed for {what}, and {free} are free. Repeat the
    request when there is more, or choose a smaller image_size."""


class DatasetChanged(DataLoss):
    """The dataset is not the one that was recorded: its SHA-256 is {found}, and {expected} was expected. Upload the
    dataset again."""


# Rows to predict for, and the model that does.


class NoRowsToPredict(InvalidInput):
    """There are no rows to predict for. Send at least one."""

    field = "rows"


class TooMuchToPredict(InvalidInput):
    """The rows have more than {limit} bytes, the most that one call takes. Send them in several calls."""

    field = "rows"


class BadRows(InvalidInput):
    """The rows cannot be read: {trouble}. Send a JSON array of objects, a CSV table with a header row, or an Arrow
    stream."""

    field = "rows"


class UnfitInput(InvalidInput):
    """This model takes {takes}, and not {given}."""

    field = "rows"


class UnfitColumn(InvalidInput):
    """The column {name!r} cannot be used: {trouble}. Send one value a row, each as its datatype says."""

    field = "inputs"


class MissingColumns(InvalidInput):
    """{where} has no column {names}. The model predicts from: {features}."""

    field = "rows"


class UnknownColumns(InvalidInput):
    """{where} has a column that the model does not know, {names}. The model predicts from: {features}."""

    field = "rows"


class BadValue(InvalidInput):
    """Row {row}, column {column!r}: {value} is not a {kind}. Correct it, or leave it out where it is not known."""

    field = "rows"


class NoChecksum(InvalidInput):
    """The package's SHA-256 is missing or no hexadecimal one. A package is only used when its bytes can be checked."""

    field = "sha256"


class PackageNotFound(NotFound):
    """There is no packaged model {key} in {placement}. It may have been deleted; train it again."""


class PackageUnreadable(Unavailable):
    """The packaged model {key} cannot be read from {placement} now. Repeat the request once storage answers."""


class PackageChanged(DataLoss):
    """The packaged model is not the one that was recorded: its SHA-256 is {found}, and {expected} was expected. It was
    not opened. Train the model again."""


class PackageBroken(DataLoss):
    """The packaged model cannot be used: {trouble}. Train the model again."""


class ModelTooLarge(NotReady):
    """The model cannot be loaded: it needs more than {limit} of memory, the most that one model may take here. Raise
    TRAINING_PREDICT_MEMORY_BYTES, which sets the limit, or train a smaller model."""


class PredictionTooLong(TooLate):
    """Predicting took longer than {seconds:g} seconds and was stopped. Send fewer rows in one call."""


class PredictionsFull(Exhausted):
    """All places for models are in use, and {waiting} calls are waiting. Repeat the request later."""


# The service.


class DiskFull(Exhausted):
    """There is no disk space left where this worked, and it was stopped. Repeat the request when there is some."""


class MemoryLimit(NotReady):
    """It needed more than {limit} of memory, the most that one training may take here, and was stopped. Use fewer rows,
    smaller images or a smaller model; TRAINING_MEMORY_BYTES sets the limit."""


class GpuMemory(NotReady):
    """It needed more memory than the graphics processor has, and was stopped. Use a smaller batch_size, image_size or
    model."""

    field = "parameters"


class TimeLimit(NotReady):
    """It took longer than {seconds} seconds, the most that one training may take here, and was stopped. Use fewer rows
    or a smaller time_limit; TRAINING_SECONDS sets the limit."""


class RayMissing(NotReady):
    """Trainings go to a Ray cluster here, by TRAINING_RAY_ADDRESS, and ray is not installed. Install modelyard[ray]."""


class ClusterAway(Unavailable):
    """The Ray cluster at {address} cannot be reached: {trouble}. Repeat the request once it answers."""


class ClusterFull(Exhausted):
    """For {seconds} seconds the cluster had no node with room for {asks}. Repeat the request later, or add a node that
    has as much."""


class ClusterUnfit(NotReady):
    """The nodes of the cluster cannot train: {trouble}. Install the same version of Modelyard there as here."""


class NodeFull(Exhausted):
    """A node of the cluster has no disk space left for the dataset. Repeat the request when there is some."""


class ArtifactLost(Unavailable):
    """The packaged model came back from the cluster with {found} bytes, and {expected} were expected, or with others.
    Repeat the request, and it is trained anew."""


class DatasetUnreadable(Unavailable):
    """The dataset {key} cannot be read from {placement} now. Repeat the request once storage answers."""


class ArtifactNotFound(NotFound):
    """There is no packaged model of training {training_id}: it has not finished, or it was released. Train it again."""


class TrainingUnknown(NotFound):
    """This replica of the training service does not have training {training_id}."""


class TrainingCancelled(Stopped):
    """Training {training_id} was cancelled. Start a new one under another name."""


class QueueFull(Exhausted):
    """Every place for this is in use now, and {waiting} requests are waiting for one. Repeat the request in
    {after_seconds} seconds."""
