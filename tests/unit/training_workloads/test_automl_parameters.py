"""What AutoGluon may be asked for: its own names, checked against its own tables before anything is trained."""

import json
import subprocess
import sys

import pytest
from autogluon.tabular.configs.hyperparameter_configs import get_hyperparameter_config_options
from autogluon.tabular.configs.presets_configs import tabular_presets_alias, tabular_presets_dict
from autogluon.tabular.registry import ag_model_registry

from services.training.domain.errors import BadParameters, FamiliesUnavailable
from services.training.workloads import workload_named
from services.training.workloads.tabular.engines import families, names, presets, request
from services.training.workloads.tabular.parameters import parse
from tests.unit.training_workloads.trial import check

GOOD = [
    ({"presets": "best"}, {"presets": "best_quality", "excluded_model_types": ["RF", "XT"]}),
    ({"presets": ["good", "optimize_for_deployment"]}, {"presets": ["good_quality", "optimize_for_deployment"]}),
    ({"hyperparameters": "very_light"}, {"hyperparameters": "very_light", "excluded_model_types": []}),
    (
        {"hyperparameters": {"LightGBM": {}, "lr": [{}, {"C": 2}], "KNeighbors": {}}},
        {"hyperparameters": {"GBM": {}, "LR": [{}, {"C": 2}], "KNN": {}}},
    ),
    ({"included_model_types": ["RandomForest", "LGBModel"]}, {"included_model_types": ["RF", "GBM"]}),
    ({"excluded_model_types": ["NeuralNetTorch", "cat"]}, {"excluded_model_types": ["NN_TORCH", "CAT"]}),
    ({"excluded_model_types": []}, {"excluded_model_types": []}),
]


@pytest.mark.parametrize(("asked", "settled"), GOOD)
def test_names_become_those_of_autogluon(asked, settled):
    found = request.settle(parse({"engine": "autogluon", **asked}))

    assert {name: getattr(found, name) for name in settled} == settled


BAD = [
    ({"presets": "fastest"}, "there is no 'fastest'; AutoGluon knows .*best_quality"),
    ({"presets": [{"time_limit": 3}]}, "presets: give the name of a preset"),
    ({"presets": []}, "presets"),
    ({"hyperparameters": "huge"}, "there is no 'huge'; AutoGluon knows .*default"),
    ({"hyperparameters": {"SVM": {}}}, r"no family 'SVM'; AutoGluon knows .*NN_TORCH \(NeuralNetTorch\)"),
    ({"hyperparameters": {"GBM": 3}}, "where options is an object"),
    ({"hyperparameters": {}}, "hyperparameters"),
    ({"hyperparameters": {"GBM": {}, "LightGBM": {}}}, "under two names"),
    ({"hyperparameters": {"GBM": {"input_model": "/etc/passwd"}}}, "'input_model' names files"),
    ({"hyperparameters": {"CAT": [{"ag_args_fit": {"train_dir": "x"}}]}}, "'train_dir' names files"),
    ({"hyperparameters": {"GBM": {"ag_args": {"name": "../../evil"}}}}, "'name' becomes a folder's name"),
    ({"hyperparameters": {"GBM": {"ag_args": {"name_suffix": "a" * 101}}}}, "'name_suffix' becomes a folder's name"),
    ({"hyperparameters": {"GBM": {"ag_args": {"name": ".."}}}}, "'name' becomes a folder's name"),
    ({"hyperparameters": {"GBM": []}}, "hyperparameters"),
    ({"included_model_types": ["GBM"], "excluded_model_types": ["GBM"]}, "leave no family to fit"),
    ({"included_model_types": ["tree"]}, "included_model_types: there is no family 'tree'"),
    ({"num_bag_folds": 1}, "one fold would be no bagging"),
    ({"num_stack_levels": 9}, "num_stack_levels"),
    ({"refit": True}, "'refit' is not one of them"),
    ({"sample_weight": "wealth"}, "'wealth' is no column"),
    ({"sample_weight": "target"}, "'target' is no column besides"),
]


@pytest.mark.parametrize(("asked", "sentence"), BAD)
def test_what_it_does_not_know_is_refused_before_training(tables, asked, sentence):
    with pytest.raises(BadParameters, match=sentence):
        check(tables["wine"], engine="autogluon", **asked)


def test_what_only_autogluon_takes_is_refused_with_the_other_engine(tables):
    with pytest.raises(BadParameters, match="num_bag_folds is a parameter of engine 'autogluon'"):
        check(tables["wine"], num_bag_folds=3)

    assert check(tables["wine"], presets="best", time_limit=30).engine == "quick"


def test_families_that_all_lack_a_library_are_refused_at_once(tables, monkeypatch):
    monkeypatch.setattr(families, "is_installed", lambda module: module == "lightgbm")
    with pytest.raises(FamiliesUnavailable, match=r"CAT, NN_TORCH.* catboost, torch"):
        check(tables["wine"], engine="autogluon", hyperparameters={"CatBoost": {}, "NN_TORCH": {}})

    assert check(tables["wine"], engine="autogluon", hyperparameters={"CAT": {}, "GBM": {}}).engine == "autogluon"


def test_the_names_are_those_of_autogluon():
    """They are written down, so that a check need not wait for AutoGluon; here they are compared with its own."""
    models = ag_model_registry.key_to_cls_map()

    assert {key: (family.name, family.kind) for key, family in families.FAMILIES.items()} == {
        key: (model.ag_name, model.__name__) for key, model in models.items()
    }
    assert set(names.PRESETS) == set(tabular_presets_dict)
    assert tabular_presets_alias == names.ALIASES
    assert set(names.HYPERPARAMETERS) == set(get_hyperparameter_config_options())


def test_a_check_does_not_wait_for_autogluon(tables):
    wish = {"engine": "autogluon", "presets": "best", "hyperparameters": {"GBM": {}}}
    code = (
        "import sys; from pathlib import Path; from tests.unit.training_workloads.trial import check; "
        f"check(Path({str(tables['wine'])!r}), **{wish!r}); print('autogluon.tabular' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "False"


def test_what_was_not_asked_for_is_left_to_the_presets():
    """AutoGluon takes a None for a wish that goes before what its presets say."""
    found = request.fit_options(request.settle(parse({"engine": "autogluon", "presets": "best", "num_bag_sets": 2})))

    assert set(found) == {"presets", "time_limit", "excluded_model_types", "num_bag_sets"}


def test_callbacks_of_presets_are_kept():
    found = presets.preset_callbacks(request.settle(parse({"engine": "autogluon", "presets": "best_v150"})))

    assert [name for name, _ in found] == ["EarlyStoppingCountCallback"]


def test_why_a_family_is_left_out():
    reasons = families.why_left_out(
        ["GBM", "CAT", "XGB", "LR"], ["GBM"], {"CAT": families.REASONS["NotEnoughMemoryError"]}
    )

    assert reasons["CAT"] == "the memory was not enough"
    assert reasons["LR"] == families.NO_TIME_LEFT
    assert "GBM" not in reasons


def test_the_schema_knows_every_parameter():
    schema = workload_named("tabular").parameters_schema()

    assert {"presets", "hyperparameters", "num_bag_folds", "sample_weight", "refit_full"} <= set(schema["properties"])
    assert all(field["description"] for field in schema["properties"].values())
    assert json.loads(json.dumps(schema)) == schema
