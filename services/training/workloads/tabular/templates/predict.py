"""Predicts for every row of a CSV file with the model of this folder.

python predict.py data.csv               writes the predictions to standard output
python predict.py data.csv -o out.csv    writes them to a file
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from load_model import load, read_table  # type: ignore[import-not-found]


def main() -> int:
    """Read, predict, write; 0 when that went well, 1 when the data or the package is not right."""
    options = _parse_options()
    try:
        answers = predict(options)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"predict.py: {error}\n")
        return 1
    try:
        answers.to_csv(options.output or sys.stdout, index=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def predict(options: argparse.Namespace) -> pd.DataFrame:
    """One row of answers for each row of data: the prediction, and for classes the probability of each."""
    model = load()
    frame = read_rows(options, model.manifest)
    answers: pd.DataFrame = model.predict(frame).to_frame()
    if model.manifest["problem_type"] != "regression":
        answers = answers.join(model.predict_proba(frame).add_prefix("probability_"))
    return answers


def read_rows(options: argparse.Namespace, manifest: dict[str, Any]) -> pd.DataFrame:
    """The rows of the data. A ValueError where there are none."""
    try:
        frame: pd.DataFrame = read_table(options.data, manifest, options.delimiter, options.encoding)
    except pd.errors.EmptyDataError:
        frame = pd.DataFrame()
    if frame.empty:
        raise ValueError("there are no rows to predict for")
    return frame


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Predicts for every row of a CSV file.")
    parser.add_argument("data", type=Path, help="CSV file with the columns that README.md lists")
    parser.add_argument("-o", "--output", type=Path, help="file to write; standard output when absent")
    parser.add_argument("--delimiter", help="as in the training data when absent")
    parser.add_argument("--encoding", help="as in the training data when absent")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
