"""What is chosen of a dataset of Kaggle, and how names from outside are shown."""

import pytest

from services.training.domain.elsewhere import (
    EVERYTHING,
    KaggleCredentials,
    KaggleWish,
    NoTable,
    SeveralFiles,
    listed,
    plain_name,
)

WISH = KaggleWish("ada", "penguins")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["data.csv"], "data.csv"),
        (["readme.md", "deep/DATA.TSV"], "deep/DATA.TSV"),
        (["labels.csv", "a.png", "b.jpg", "c.JPEG"], EVERYTHING),
        (["data.csv", "plot.png"], "data.csv"),
        (["images.zip", "notes.txt"], "images.zip"),
        (["data.csv", "images.zip"], "data.csv"),
    ],
)
def test_the_one_table_is_chosen_or_everything_of_images(names: list[str], chosen: str):
    assert WISH.choose(names) == chosen


@pytest.mark.parametrize(
    ("names", "error"),
    [(["a.csv", "b.csv"], SeveralFiles), (["a.zip", "b.zip"], SeveralFiles), (["a.sqlite"], NoTable), ([], NoTable)],
)
def test_where_it_is_not_clear_the_files_are_listed(names: list[str], error: type[Exception]):
    with pytest.raises(error, match=", ".join(names) or "nothing"):
        WISH.choose(names)


def test_a_list_of_very_many_files_is_cut():
    assert listed([f"{number}.csv" for number in range(25)]).endswith("19.csv and 5 more")


@pytest.mark.parametrize(
    ("given", "name"),
    [("a/b.csv", "b.csv"), ("..", "data.csv"), ("a\x00b\u202e.csv", "ab.csv"), ("", "data.csv"), (" .x. ", "x")],
)
def test_a_name_is_one_segment_that_can_be_shown(given: str, name: str):
    assert plain_name(given) == name


def test_credentials_do_not_show_what_is_secret():
    shown = repr(KaggleCredentials("ada", "k3y", "t0ken"))

    assert "k3y" not in shown
    assert "t0ken" not in shown
