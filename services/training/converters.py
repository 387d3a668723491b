"""Between protobuf and the domain."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from google.protobuf import json_format, struct_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from modelyard.common.v1 import metric_pb2, table_pb2
from modelyard.training.v1 import analysis_pb2, training_pb2
from servicekit.floats import with_integers
from servicekit.packed import add_doubles
from services.training.domain.answers import Answers, ColumnsFormat, PackageSource, RowFormat, RowsHeader
from services.training.domain.elsewhere import Arrival, KaggleCredentials, KaggleWish, NothingNamed, WebWish
from services.training.domain.errors import BadFormat, BadRows, ParametersNotJson
from services.training.domain.inspection import Column, ColumnKind, Inspection, Scalar
from services.training.domain.model import (
    DatasetSource,
    Metric,
    ProblemType,
    Progress,
    TableFormat,
    TrainingPlan,
    TrainingResult,
    TrainingSpec,
)
from services.training.domain.ports import Event, Workload
from services.training.domain.sniffing import DELIMITERS, SniffedTable

PROBLEM_TYPES = {
    training_pb2.PROBLEM_TYPE_BINARY: ProblemType.BINARY,
    training_pb2.PROBLEM_TYPE_MULTICLASS: ProblemType.MULTICLASS,
    training_pb2.PROBLEM_TYPE_REGRESSION: ProblemType.REGRESSION,
    training_pb2.PROBLEM_TYPE_OBJECT_DETECTION: ProblemType.OBJECT_DETECTION,
}
PROBLEM_TYPE_NUMBERS = {kind: number for number, kind in PROBLEM_TYPES.items()}

COLUMN_KIND_NUMBERS = {
    ColumnKind.EMPTY: table_pb2.COLUMN_KIND_EMPTY,
    ColumnKind.NUMBER: table_pb2.COLUMN_KIND_NUMBER,
    ColumnKind.TRUTH: table_pb2.COLUMN_KIND_TRUTH,
    ColumnKind.TIME: table_pb2.COLUMN_KIND_TIME,
    ColumnKind.TEXT: table_pb2.COLUMN_KIND_TEXT,
}


def spec_from(request: training_pb2.TrainRequest) -> TrainingSpec:
    """What to train; raises ParametersNotJson and BadFormat."""
    return TrainingSpec(
        training_id=request.training_id,
        workload=request.workload,
        dataset=source_from(request.dataset),
        target=request.target,
        problem_type=PROBLEM_TYPES.get(request.problem_type),
        parameters=_parameters_from(request),
        model_name=request.model_name,
    )


def _parameters_from(request: training_pb2.TrainRequest) -> dict[str, Any]:
    try:
        values = json_format.MessageToDict(request.parameters)
    except (ValueError, json_format.SerializeToJsonError) as error:
        raise ParametersNotJson from error
    parameters: dict[str, Any] = with_integers(values, set(request.float_parameters))
    return parameters


def source_from(message: training_pb2.DatasetSource) -> DatasetSource:
    """A stored dataset; raises BadFormat."""
    return DatasetSource(
        dataset_id=message.dataset_id,
        placement=message.placement,
        key=message.key,
        sha256=message.sha256,
        format=format_from(message.format) if message.HasField("format") else None,
    )


def format_from(message: table_pb2.TableFormat) -> TableFormat:
    """How to read a table; raises BadFormat where nothing can be read so."""
    if message.delimiter not in ("", *DELIMITERS):
        raise BadFormat(trouble=f"{message.delimiter!r} is no delimiter")
    try:
        "".encode(message.encoding or "utf-8")  # refuses also what turns bytes into other bytes
    except (LookupError, ValueError) as error:
        raise BadFormat(trouble=f"{message.encoding!r} is no encoding of text") from error
    return TableFormat(message.delimiter, message.encoding)


def struct_of(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """A mapping as a Struct."""
    message = struct_pb2.Struct()
    message.update(values)
    return message


def workload_to(workload: Workload) -> training_pb2.Workload:
    """A workload as it is listed."""
    available, unavailable = workload.availability()
    asked = workload.resources({})
    return training_pb2.Workload(
        name=workload.name,
        description=workload.description,
        parameters_schema=struct_of(workload.parameters_schema()),
        available=available,
        unavailable=unavailable,
        inputs=workload.inputs,
        outputs=workload.outputs,
        resources=training_pb2.Resources(cpus=asked.cpus, gpus=asked.gpus, memory_bytes=asked.memory_bytes),
    )


def plan_to(plan: TrainingPlan) -> training_pb2.CheckTrainingResponse:
    """What a training would do."""
    return training_pb2.CheckTrainingResponse(
        target=plan.target,
        problem_type=PROBLEM_TYPE_NUMBERS[plan.problem_type],
        row_count=plan.row_count,
        feature_count=plan.feature_count,
        engine=plan.engine,
    )


def event_to(event: Event) -> training_pb2.TrainResponse:
    """An event of a training."""
    match event:
        case Progress(fraction, stage, message):
            progress = training_pb2.TrainingProgress(fraction=fraction, stage=stage, message=message)
            return training_pb2.TrainResponse(progress=progress)
        case Metric():
            return training_pb2.TrainResponse(metric=metric_to(event))
        case TrainingResult():
            return training_pb2.TrainResponse(result=result_to(event))


def metric_to(metric: Metric) -> metric_pb2.Metric:
    """A measured number."""
    message = metric_pb2.Metric(name=metric.name, value=metric.value, step=metric.step, split=metric.split)
    if metric.measure_time:
        message.measure_time.FromDatetime(metric.measure_time)
    return message


def result_to(result: TrainingResult) -> training_pb2.TrainingResult:
    """What a finished training gave."""
    start_time, end_time = Timestamp(), Timestamp()
    start_time.FromDatetime(result.start_time)
    end_time.FromDatetime(result.end_time)
    entries = [
        training_pb2.LeaderboardEntry(
            model=entry.model,
            validation_score=entry.validation_score,
            test_score=entry.test_score,
            fit_seconds=entry.fit_seconds,
        )
        for entry in result.leaderboard
    ]
    return training_pb2.TrainingResult(
        training_id=result.training_id,
        engine=result.engine,
        best_model=result.best_model,
        target=result.target,
        problem_type=PROBLEM_TYPE_NUMBERS[result.problem_type],
        score_name=result.score_name,
        score=result.score,
        metrics=[metric_to(metric) for metric in result.metrics],
        train_row_count=result.train_row_count,
        test_row_count=result.test_row_count,
        features=result.features,
        leaderboard=entries,
        unavailable=result.unavailable,
        parameters=struct_of(result.parameters),
        library_versions=result.library_versions,
        artifact_size=result.artifact_size,
        artifact_sha256=result.artifact_sha256,
        dataset_sha256=result.dataset_sha256,
        start_time=start_time,
        end_time=end_time,
        workload=result.workload,
        evaluation=struct_of(result.evaluation),
    )


def format_to(table_format: TableFormat) -> table_pb2.TableFormat:
    """How to read a table."""
    return table_pb2.TableFormat(delimiter=table_format.delimiter, encoding=table_format.encoding)


def sniffed_to(sniffed: SniffedTable | None) -> analysis_pb2.SniffTableResponse:
    """What the first bytes of a file told; nothing but its kind of an archive."""
    if sniffed is None:
        return analysis_pb2.SniffTableResponse(kind="archive")
    return analysis_pb2.SniffTableResponse(
        kind="table", format=format_to(sniffed.format), column_names=sniffed.column_names, row_count=sniffed.row_count
    )


def inspection_to(inspection: Inspection) -> analysis_pb2.InspectDatasetResponse:
    """What is in a dataset."""
    if inspection.archive:
        contents = analysis_pb2.ArchiveContents(**asdict(inspection.archive))
        return analysis_pb2.InspectDatasetResponse(archive=contents)
    return analysis_pb2.InspectDatasetResponse(
        format=format_to(inspection.format),
        columns=[column_to(column) for column in inspection.columns],
        row_count=inspection.row_count,
        sample=[struct_of(row) for row in inspection.sample],
    )


def column_to(column: Column) -> table_pb2.Column:
    """What is known of one column."""
    statistics = column.statistics
    return table_pb2.Column(
        name=column.name,
        dtype=column.dtype,
        null_count=column.null_count,
        unique_count=column.unique_count,
        unique_count_estimated=column.unique_count_estimated,
        kind=COLUMN_KIND_NUMBERS[statistics.kind],
        min=_value(statistics.least),
        max=_value(statistics.greatest),
        mean=_value(statistics.mean),
        quantiles=[
            table_pb2.Quantile(probability=one.probability, value=_value(one.value)) for one in statistics.quantiles
        ],
        quantiles_estimated=statistics.quantiles_estimated,
        top_values=[table_pb2.ValueCount(value=one.value, count=one.count) for one in statistics.top_values],
        top_values_estimated=statistics.top_values_error > 0,
        top_values_error=statistics.top_values_error,
    )


def _value(scalar: Scalar | None) -> struct_pb2.Value | None:
    if scalar is None:
        return None
    return struct_pb2.Value(string_value=scalar) if isinstance(scalar, str) else struct_pb2.Value(number_value=scalar)


ROW_FORMATS = {
    training_pb2.ROW_FORMAT_JSON: RowFormat.JSON,
    training_pb2.ROW_FORMAT_CSV: RowFormat.CSV,
    training_pb2.ROW_FORMAT_ARROW: RowFormat.ARROW,
    training_pb2.ROW_FORMAT_IMAGE: RowFormat.IMAGE,
    training_pb2.ROW_FORMAT_COLUMNS: RowFormat.COLUMNS,
}


def package_from(header: training_pb2.PredictHeader) -> PackageSource:
    """Which model to predict with."""
    return PackageSource(header.package.placement, header.package.key, header.package.sha256)


def rows_from(header: training_pb2.PredictHeader) -> RowsHeader:
    """How rows are written; raises BadRows where that is not said, and BadFormat."""
    if header.row_format not in ROW_FORMATS:
        raise BadRows(trouble="their format is not said")
    known = format_from(header.table_format) if header.HasField("table_format") else None
    columns = ColumnsFormat(header.row_count if header.HasField("row_count") else None, dict(header.datatypes))
    return RowsHeader(ROW_FORMATS[header.row_format], known, columns)


def answers_to(answers: Answers) -> Iterator[training_pb2.PredictResponse]:
    """Answers as messages; the first tells of them all."""
    for number, batch in enumerate(answers.batches()):
        message = training_pb2.PredictResponse(class_indexes=batch.class_indexes)
        add_doubles(message, "values", batch.values)
        add_doubles(message, "probabilities", batch.probabilities)
        if not number:
            message.row_count = answers.header.row_count
            message.problem_type = PROBLEM_TYPE_NUMBERS[answers.header.problem_type]
            message.classes.extend(json_format.ParseDict(label, struct_pb2.Value()) for label in answers.header.classes)
            message.detections.extend(training_pb2.Detection(**asdict(one)) for one in answers.header.detections)
        yield message


def wish_from(request: analysis_pb2.FetchDatasetRequest) -> KaggleWish | WebWish:
    """What to bring from elsewhere; raises NothingNamed and what is wrong with a dataset's name."""
    match request.WhichOneof("source"):
        case "kaggle":
            return KaggleWish.of(request.kaggle.dataset, request.kaggle.file, request.kaggle.version)
        case "url":
            return WebWish(request.url)
    raise NothingNamed


def credentials_from(request: analysis_pb2.FetchDatasetRequest) -> KaggleCredentials | None:
    """Whose access to use; None when that is not said."""
    if not request.kaggle.HasField("credentials"):
        return None
    given = request.kaggle.credentials
    return KaggleCredentials(given.username, given.key, given.token)


def arrival_to(arrival: Arrival) -> analysis_pb2.FetchDatasetResponse:
    """What is known of a file before its bytes."""
    header = analysis_pb2.FetchHeader(file_name=arrival.file_name, size=arrival.size)
    return analysis_pb2.FetchDatasetResponse(header=header)
