"""The families of models that AutoGluon knows, by their keys, and what each needs."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from services.training.workloads.kit.parts import is_installed


@dataclass(frozen=True)
class Family:
    """A family: its name, the class of AutoGluon that fits it, and the modules beside scikit-learn that it needs."""

    name: str
    kind: str
    needs: tuple[str, ...]


# AutoGluon's own table, so that nobody has to wait for AutoGluon to be told that a name is wrong.
FAMILIES = {
    "RF": Family("RandomForest", "RFModel", ()),
    "XT": Family("ExtraTrees", "XTModel", ()),
    "KNN": Family("KNeighbors", "KNNModel", ()),
    "GBM": Family("LightGBM", "LGBModel", ("lightgbm",)),
    "CAT": Family("CatBoost", "CatBoostModel", ("catboost",)),
    "XGB": Family("XGBoost", "XGBoostModel", ("xgboost",)),
    "REALMLP": Family("RealMLP", "RealMLPModel", ("torch", "pytabkit")),
    "NN_TORCH": Family("NeuralNetTorch", "TabularNeuralNetTorchModel", ("torch",)),
    "LR": Family("LinearModel", "LinearModel", ()),
    "FASTAI": Family("NeuralNetFastAI", "NNFastAiTabularModel", ("torch", "fastai")),
    "GBM_PREP": Family("LightGBMPrep", "PrepLGBModel", ("lightgbm",)),
    "AG_TEXT_NN": Family("TextPredictor", "TextPredictorModel", ("autogluon.multimodal",)),
    "AG_IMAGE_NN": Family("ImagePredictor", "ImagePredictorModel", ("autogluon.multimodal",)),
    "AG_AUTOMM": Family("MultiModalPredictor", "MultiModalPredictorModel", ("autogluon.multimodal",)),
    "FT_TRANSFORMER": Family("FTTransformer", "FTTransformerModel", ("autogluon.multimodal",)),
    "TABDPT": Family("TabDPT", "TabDPTModel", ("torch", "tabdpt")),
    "TABDPT-TURBO": Family("TabDPT-Turbo", "TabDPTTurboModel", ("torch", "tabdpt")),
    "TABICL": Family("TabICL", "TabICLModel", ("torch", "tabicl")),
    "TABM": Family("TabM", "TabMModel", ("torch",)),
    "TABPFNMIX": Family("TabPFNMix", "TabPFNMixModel", ("torch", "einops", "huggingface_hub")),
    "TABPFN-2.6": Family("TabPFN-2.6", "TabPFNv26Model", ("torch", "tabpfn")),
    "REALTABPFN-V2": Family("RealTabPFN-v2", "RealTabPFNv2Model", ("torch", "tabpfn")),
    "REALTABPFN-V2.5": Family("RealTabPFN-v2.5", "RealTabPFNv25Model", ("torch", "tabpfn")),
    "MITRA": Family("Mitra", "MitraModel", ("torch", "einops", "huggingface_hub")),
    "TABPFN-3": Family("TabPFN-3", "TabPFN3Model", ("torch", "tabpfn")),
    "NORI": Family("Nori", "NoriModel", ("torch", "synthefy_nori")),
    "ENS_WEIGHTED": Family("WeightedEnsemble", "GreedyWeightedEnsembleModel", ()),
    "SIMPLE_ENS_WEIGHTED": Family("WeightedEnsemble", "SimpleWeightedEnsembleModel", ()),
    "IM_RULEFIT": Family("RuleFit", "RuleFitModel", ("imodels",)),
    "IM_GREEDYTREE": Family("GreedyTree", "GreedyTreeModel", ("imodels",)),
    "IM_FIGS": Family("Figs", "FigsModel", ("imodels",)),
    "IM_HSTREE": Family("HierarchicalShrinkageTree", "HSTreeModel", ("imodels",)),
    "IM_BOOSTEDRULES": Family("BoostedRules", "BoostedRulesModel", ("imodels",)),
    "DUMMY": Family("Dummy", "DummyModel", ()),
    "EBM": Family("EBM", "EBMModel", ("interpret",)),
}
BY_CLASS = {family.kind: key for key, family in FAMILIES.items()}

# How AutoGluon's errors are told. What is not listed is an error of the library itself.
REASONS = {
    "TimeLimitExceeded": "the time was not enough",
    "NotEnoughMemoryError": "the memory was not enough",
    "NotEnoughCudaMemoryError": "the memory of the GPU was not enough",
    "NoGPUError": "it needs a GPU",
    "NoValidFeatures": "it has no use for the columns",
    "NoStackFeatures": "there was nothing to stack",
    "ImportError": "a library that it needs is not installed",
}
NO_TIME_LEFT = "no time was left for it"
OF_TIME = (NO_TIME_LEFT, REASONS["TimeLimitExceeded"])


def lacking(family: str) -> list[str]:
    """The modules that a family needs and that are not installed here."""
    return [module for module in FAMILIES[family].needs if not is_installed(module)]


def not_installed(families: Iterable[str]) -> list[str]:
    """Those of some families that lack a module here, in order."""
    return sorted(family for family in families if lacking(family))


def why_left_out(asked: Collection[str], fitted: Collection[str], failures: dict[str, str]) -> dict[str, str]:
    """Why each family that was asked for has no model: it lacks a library, it failed, or no time was left."""
    reasons = {}
    for family in sorted(set(asked) - set(fitted)):
        if missing := lacking(family):
            reasons[family] = f"{' and '.join(missing)} not installed"
        else:
            reasons[family] = failures.get(family, NO_TIME_LEFT)
    return reasons


def key_of(name: str) -> str | None:
    """The key of the family of a key, name or class, in any case; None where there is none."""
    return _KEYS.get(_folded(name))


def _folded(name: str) -> str:
    return name.strip().casefold()


# Where a name is that of two, the first has it.
_KEYS = {
    **{_folded(family.kind): key for key, family in reversed(FAMILIES.items())},
    **{_folded(family.name): key for key, family in reversed(FAMILIES.items())},
    **{_folded(key): key for key in FAMILIES},
}
