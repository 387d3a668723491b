"""What a training would do, settled from the data: target, problem type, columns, held-out rows."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from servicekit.errors import InvalidInput, Problem
from services.training.domain.model import ProblemType, TableFormat
from services.training.workloads import all_workloads, workload_named
from services.training.workloads.kit.splitting import split_rows
from services.training.workloads.tabular.columns import describe_columns
from services.training.workloads.tabular.reading import read_table
from services.training.workloads.tabular.target import detect_problem, settle_target
from services.training.workloads.tabular.templates.load_model import prepare
from tests.unit.training_workloads.trial import check

BINARY, MULTICLASS, REGRESSION = ProblemType.BINARY, ProblemType.MULTICLASS, ProblemType.REGRESSION


def test_listing_workloads_imports_nothing_heavy():
    code = (
        "import sys; from services.training.workloads import all_workloads\n"
        "for workload in all_workloads(): workload.parameters_schema(), workload.availability()\n"
        "sys.exit(','.join({'pandas', 'numpy', 'sklearn', 'autogluon.tabular'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (1, "\n")


def test_the_tabular_workload_tells_its_parameters_and_its_parts():
    workload = next(each for each in all_workloads() if each.name == "tabular")
    available, unavailable = workload.availability()

    assert set(workload.parameters_schema()["properties"]) >= {"engine", "time_limit", "presets", "seed"}
    assert {"quick", "autogluon"} <= set(available)
    assert set(available).isdisjoint(unavailable)


def test_an_unknown_workload_is_named_with_those_there_are():
    with pytest.raises(InvalidInput, match="tabular") as caught:
        workload_named("images")

    assert (caught.value.reason, caught.value.field) == ("UNKNOWN_WORKLOAD", "workload")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["yes", "no"] * 3, BINARY),
        ([True, False] * 3, BINARY),
        (["a", "b", "c"] * 2, MULTICLASS),
        ([0, 1] * 5, BINARY),
        ([1.5, 2.5] * 5, BINARY),
        ([0, 1, 2] * 50, MULTICLASS),
        ([3, 4, 5, 6, 7, 8, 9] * 200, MULTICLASS),
        (list(range(20)) * 50, MULTICLASS),
        (list(range(21)) * 50, REGRESSION),
        (list(range(15)) * 10, REGRESSION),
        ([1, 2, 3, 4], REGRESSION),
        ([0.5, 1.5, 2.25] * 50, REGRESSION),
        (list(np.linspace(0, 1, 100)), REGRESSION),
    ],
)
def test_the_problem_type_is_what_the_values_call_for(values, expected):
    assert detect_problem(pd.Series(values)) is expected


def test_the_last_column_is_the_target_unless_another_is_named(tables):
    assert check(tables["wine"]).target == "target"
    assert check(tables["wine"], target="alcohol").target == "alcohol"


def test_a_plan_counts_rows_with_a_target_and_columns_that_say_something(write):
    """Rows without a target are left out; so are columns that are empty, constant, or another text in every row."""
    frame = pd.DataFrame(
        {
            "id": [f"customer {i}" for i in range(100)],
            "nothing": [None] * 100,
            "same": ["x"] * 100,
            "size": range(100),
            "kind": ["a", "b"] * 50,
            "price": [None, *np.linspace(0, 1, 99)],
        }
    )
    plan = check(write(frame))

    assert (plan.problem_type, plan.row_count, plan.feature_count, plan.engine) == (REGRESSION, 99, 2, "quick")


REFUSED = {
    "a target that is not there": ({"target": "Alcohl"}, InvalidInput, "TARGET_NOT_FOUND", "target", "'alcohol'"),
    "a target unlike any": ({"target": "zzz"}, InvalidInput, "TARGET_NOT_FOUND", "target", "4 more"),
    "an unknown parameter": ({"depth": 3}, InvalidInput, "BAD_PARAMETERS", "parameters", "'depth'"),
    "too large a test": ({"test_fraction": 0.9}, InvalidInput, "BAD_PARAMETERS", "parameters", "0.5"),
    "an unknown engine": ({"engine": "magic"}, InvalidInput, "UNKNOWN_ENGINE", "parameters", "autogluon"),
    "a metric of another problem": ({"eval_metric": "rmse"}, InvalidInput, "UNFIT_METRIC", "parameters", "accuracy"),
    "three classes as two": ({"problem_type": BINARY}, InvalidInput, "NOT_BINARY", "problem_type", "3 different"),
    "amounts as classes": (
        {"target": "alcohol", "problem_type": MULTICLASS},
        InvalidInput,
        "TOO_MANY_CLASSES",
        "target",
        "126",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_that_cannot_be_met_is_refused_with_a_sentence_that_helps(tables, case):
    asked, kind, reason, field, hint = REFUSED[case]
    with pytest.raises(kind) as caught:
        check(tables["wine"], **asked)

    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert hint in caught.value.message


UNFIT = {
    "one class": ("a,y\n1,x\n2,x\n3,x\n4,x\n", {}, InvalidInput, "ONE_CLASS"),
    "one number": ("a,y\n1,5\n2,5\n3,5\n4,5\n", {"problem_type": REGRESSION}, InvalidInput, "ONE_CLASS"),
    "text as numbers": ("a,y\n1,x\n2,z\n3,x\n4,z\n", {"problem_type": REGRESSION}, InvalidInput, "TARGET_NOT_NUMERIC"),
    "a target that is mostly missing": ("a,y\n1,\n2,x\n3,z\n4,x\n5,\n", {}, InvalidInput, "TOO_FEW_ROWS"),
    "another class in every row": ("a,y\n1,p\n2,q\n3,r\n4,s\n", {}, InvalidInput, "TOO_MANY_CLASSES"),
    "a table of one column": ("y\nx\nz\nx\nz\n", {}, InvalidInput, "NO_FEATURES"),
    "columns that never change": ("a,b,y\n" + "1,,x\n1,,z\n" * 3, {}, InvalidInput, "NO_FEATURES"),
    "three rows": ("a,y\n1,x\n2,z\n3,x\n", {}, InvalidInput, "TOO_FEW_ROWS"),
    "a metric for which two classes must be held out": (
        "a,y\n1,x\n2,z\n3,x\n4,z\n",
        {"eval_metric": "roc_auc"},
        InvalidInput,
        "UNFIT_METRIC",
    ),
}


UNFIT_NAMES = {
    "one class whose name is a document": (["x" * 5_000] * 2, "ONE_CLASS", "…"),
    "a class whose name is a document": (["x" * 501, "y"], "CLASS_TOO_LONG", "501 characters"),
    "classes with long names": ([f"{place:03}" + "x" * 497 for place in range(201)], "CLASSES_TOO_LONG", "100,500"),
}


@pytest.mark.parametrize("case", UNFIT_NAMES)
def test_classes_whose_names_no_result_has_room_for_are_refused(write, case):
    names, reason, hint = UNFIT_NAMES[case]
    with pytest.raises(InvalidInput, match=hint) as caught:
        check(write(pd.DataFrame({"a": range(3 * len(names)), "y": names * 3})))

    assert (caught.value.reason, caught.value.field) == (reason, "target")
    assert len(caught.value.message) < 400


def test_classes_with_names_of_some_length_are_learned(write):
    names = [f"{place:03}" + "x" * 497 for place in range(200)]

    assert check(write(pd.DataFrame({"a": range(600), "y": names * 3}))).problem_type is MULTICLASS


@pytest.mark.parametrize(
    ("scale", "reason"),
    [
        *((scale, "TARGET_TOO_LARGE") for scale in (1e308, 1e200, 1e155, -1e38)),
        *((scale, "TARGET_TOO_FINE") for scale in (1e-31, -1e-200, 1e-308)),
    ],
)
def test_amounts_that_single_precision_has_no_digits_for_are_refused(write, scale, reason):
    """Engines would learn nothing from them without a word, or fail."""
    with pytest.raises(InvalidInput, match=r"Divide|Multiply") as caught:
        check(write(pd.DataFrame({"a": range(100), "y": np.linspace(0.1, 1, 100) * scale})))

    assert (caught.value.reason, caught.value.field) == (reason, "target")


@pytest.mark.parametrize("case", UNFIT)
def test_data_that_cannot_be_learned_from_is_refused(write, case):
    text, asked, kind, reason = UNFIT[case]
    with pytest.raises(kind) as caught:
        check(write(text), **asked)

    assert caught.value.reason == reason
    assert isinstance(caught.value, Problem)
    assert "{" not in caught.value.message


BEYOND = 2**53
CLASSES = {
    "small numbers": ([3, 1, 2], [3, 1, 2]),
    "numbers that doubles still tell apart": ([BEYOND, BEYOND - 1], [BEYOND, BEYOND - 1]),
    "numbers that are one as doubles": ([BEYOND, BEYOND + 1], [str(BEYOND), str(BEYOND + 1)]),
    "a large one below zero": ([5, -BEYOND - 1], ["5", str(-BEYOND - 1)]),
    "numbers without a sign": ([2**64 - 1, 2**63, 7], [str(2**64 - 1), str(2**63), "7"]),
    "floats": ([1e20, 2e20], ["1" + "0" * 20, "2" + "0" * 20]),
    "numbers that nothing but text holds": ([10**30, 2 * 10**30], [str(10**30), str(2 * 10**30)]),
}


@pytest.mark.parametrize("case", CLASSES)
def test_classes_that_doubles_would_mix_up_are_the_digits_of_their_numbers(write, case):
    values, labels = CLASSES[case]
    rows = "".join(f"{place},{value}\n" for place, value in enumerate(values * 20))
    target = settle_target(read_table(write("a,y\n" + rows), None), "y", None)

    assert target.values.tolist() == labels * 20
    assert target.classes == sorted(labels)


@pytest.mark.parametrize("classes", [["p", "q"], ["7", "8"], [str(2**63), str(2**63 + 1)]])
def test_rows_without_a_class_are_left_out(write, classes):
    rows = "".join(f"{place},{value}\n" for place, value in enumerate([*classes, ""] * 20))
    target = settle_target(read_table(write("a,y\n" + rows), None), "y", None)

    assert (len(target.values), [str(label) for label in target.classes]) == (40, classes)


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("gap", ["", "NA"])
def test_gaps_do_not_change_the_digits_of_classes(write, gap, labels):
    """pandas makes doubles of whole numbers with gaps between them."""
    classes = [str(BEYOND + 1 + 2 * place) for place in range(labels)]
    rows = "".join(f"{place},{value}\n" for place, value in enumerate([*classes, gap] * 20))
    target = settle_target(read_table(write("a,y\n" + rows), None), "y", None)

    assert target.classes == classes
    assert target.values.value_counts().tolist() == [20] * labels


def test_large_amounts_with_gaps_stay_amounts(write):
    rows = "".join(f"{place},{place}e17\n{place},\n" for place in range(40))
    target = settle_target(read_table(write("a,y\n" + rows), None), "y", None)

    assert (target.problem_type, target.values.tolist()) == (REGRESSION, [place * 1e17 for place in range(40)])


COMMAS = {
    "some decimals": (["1,5", "2", "10,25"], [1.5, 2, 10.25]),
    "as many digits in each": (["1,250", "2,375", "999,000"], [1.25, 2.375, 999]),
    "nothing before the comma": ([",5", "-,25", "3"], [0.5, -0.25, 3]),
    "nothing behind it": (["1,", "2,5"], [1, 2.5]),
    "exponents": (["1,5e-05", "1e-05", "2E+3"], [1.5e-05, 1e-05, 2000]),
    "eighths, as nobody fills them up": (["12", "1,125", "3,875"], [12, 1.125, 3.875]),
    "a zero before three digits": (["0,125", "150", "1,375"], [0.125, 150, 1.375]),
    "thousands": (["950", "1,000", "12,550"], None),
    "thousands, the others small": (["50", "1,000", "2,000"], None),
    "thousands below zero": (["-950", "-1,005"], None),
    "millions": (["950", "1,000,000"], None),
    "text": (["1,5", "2", "x,5"], None),
}


@pytest.mark.parametrize("case", COMMAS)
def test_commas_are_decimal_where_they_do_not_part_thousands(write, case):
    """000.11: a thousand is not 1.0."""
    written, numbers = COMMAS[case]
    rows = "".join(f"{value}\t{place}\n" for place, value in enumerate(written * 4))
    table = read_table(write("x\ty\n" + rows), None)
    (feature,) = describe_columns(table.frame[["x"]], table.decimal_comma, raw=True).features
    prepared = prepare(table.frame, [feature.as_manifest()])["x"].tolist()

    assert prepared == (numbers or written) * 4


def test_columns_are_read_as_what_they_are():
    frame = pd.DataFrame(
        {
            "number": [1.0, None, 2.5],
            "comma": ["1,5", "2", None],
            "truth": [True, None, False],
            "iso": ["2024-01-31", "2024-02-29T12:30:00", None],
            "american": ["01/31/2024", "02/01/2024", "03/01/2024"],
            "european": ["31/01/2024", "01/02/2024", "01/03/2024"],
            "german": ["31.01.2024", "01.02.2024", None],
            "almost": ["2024-01-31", "2024-02-30", "2024-03-01"],
            "text": ["a", "b", None],
        }
    )
    columns = describe_columns(frame, decimal_comma=True, raw=False)

    assert {feature.name: (feature.kind, feature.format or feature.decimal) for feature in columns.features} == {
        "number": ("number", ""),
        "comma": ("number", ","),
        "truth": ("boolean", ""),
        "iso": ("date", "ISO8601"),
        "american": ("date", "%m/%d/%Y"),
        "european": ("date", "%d/%m/%Y"),
        "german": ("date", "%d.%m.%Y"),
        "almost": ("category", ""),
        "text": ("category", ""),
    }


def test_infinity_is_no_value():
    """It is prepared as missing, so a column of nothing else is as good as empty."""
    infinite = [np.inf, -np.inf, np.inf, np.nan]
    frame = pd.DataFrame({"only": [np.inf] * 4, "both": infinite, "some": [1.0, *infinite[:3]], "other": range(4)})
    columns = describe_columns(frame, decimal_comma=False, raw=False)

    assert [feature.name for feature in columns.features] == ["some", "other"]
    assert columns.unused == {"only": "it is empty", "both": "it is empty"}


def test_a_model_that_takes_columns_raw_gets_dates_whole_and_truth_with_its_gaps(write):
    frame = pd.DataFrame({"day": ["31/01/2024", "13/02/2024"], "gaps": [True, None], "truth": [True, False]})
    columns = describe_columns(frame, decimal_comma=False, raw=True)
    far = pd.DataFrame({"day": ["01/02/3000", "13/02/2024"], "gaps": ["TRUE", ""], "truth": [True, False]})
    prepared = prepare(far, [feature.as_manifest() for feature in columns.features])

    assert [feature.name for feature in columns.features if feature.whole] == ["day", "gaps"]
    assert prepared["day"].tolist() == [pd.NaT, pd.Timestamp("2024-02-13", tz="UTC")]
    assert prepared["gaps"].tolist() == [True, pytest.approx(np.nan, nan_ok=True)]
    assert prepared["truth"].tolist() == [1.0, 0.0]


def test_a_file_is_read_in_its_encoding_even_where_that_shows_late(write):
    """Beyond the first mebibyte there may be letters that are not UTF-8."""
    content = b"a,b\n" + b"plain,1\n" * 200_000 + "Malmö,2\n".encode("cp1252")
    table = read_table(write(content), TableFormat(",", "utf-8"))

    assert table.format.encoding == "cp1252"
    assert table.frame["a"].iloc[-1] == "Malmö"


def test_an_archive_is_no_table(write):
    """000.11: what to do is another thing than for a file that nothing can be learned from."""
    with pytest.raises(InvalidInput, match="ask for the task image_classification or object_detection") as caught:
        read_table(write(b"PK\x03\x04" + bytes(60)), None)

    assert caught.value.reason == "ARCHIVE_NO_TABLE"


def test_zero_bytes_are_found_beyond_the_first_bytes(write):
    """For pandas, a value would end there."""
    with pytest.raises(InvalidInput, match="line 300,002 holds a zero byte") as caught:
        read_table(write(b"a,b\n" + b"1,2\n" * 300_000 + b"1,2\x003\n" + b"1,2\n" * 9), None)

    assert caught.value.reason == "NOT_TEXT"


def test_a_row_with_too_much_is_found_beyond_the_first_bytes(write):
    content = b"a,b\n" + b"1,2\n" * 300_000 + b"1,2,3\n"
    with pytest.raises(InvalidInput, match="Line 300002") as caught:
        read_table(write(content), None)

    assert caught.value.reason == "UNREADABLE_ROW"


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5])
def test_each_class_gives_its_share_and_never_its_last_row(fraction):
    labels = np.array(["a"] * 60 + ["b"] * 30 + ["c"] * 9 + ["d"])
    split = split_rows(labels, True, fraction, seed=1)
    held = pd.Series(labels[split.test]).value_counts()

    assert sorted([*split.train, *split.test]) == list(range(100))
    assert len(split.test) == round(100 * fraction)
    assert set(labels[split.train]) == set("abcd")
    assert abs(held["a"] - 60 * fraction) <= 1


def test_the_seed_settles_which_rows_are_held_out():
    labels = np.arange(50.0)
    first, again, other = (split_rows(labels, False, 0.2, seed).test.tolist() for seed in (1, 1, 2))

    assert first == again
    assert first != other


@pytest.mark.parametrize("count", range(4, 12))
def test_however_few_rows_one_is_held_out_and_each_class_is_learned(count):
    labels = np.array(["a", "b", *"ab" * 10][:count])
    split = split_rows(labels, True, 0.05, seed=0)

    assert len(split.test) == 1
    assert set(labels[split.train]) == {"a", "b"}
