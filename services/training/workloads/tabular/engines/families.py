"""The families of models that AutoGluon knows, by their keys, and what each needs."""

from collections.abc import Collection, Iterable

from services.training.workloads.kit.parts import is_installed

# The modules, beside scikit-learn, without which a family cannot be fitted. What is not listed needs none.
NEEDS = {
    "GBM": ("lightgbm",),
    "GBM_PREP": ("lightgbm",),
    "CAT": ("catboost",),
    "XGB": ("xgboost",),
    "NN_TORCH": ("torch",),
    "TABM": ("torch",),
    "FASTAI": ("torch", "fastai"),
    "REALMLP": ("torch", "pytabkit"),
    "TABDPT": ("torch", "tabdpt"),
    "TABDPT-TURBO": ("torch", "tabdpt"),
    "TABICL": ("torch", "tabicl"),
    "TABPFNMIX": ("torch", "einops", "huggingface_hub"),
    "TABPFN-2.6": ("torch", "tabpfn"),
    "TABPFN-3": ("torch", "tabpfn"),
    "REALTABPFN-V2": ("torch", "tabpfn"),
    "REALTABPFN-V2.5": ("torch", "tabpfn"),
    "MITRA": ("torch", "einops", "huggingface_hub"),
    "NORI": ("torch", "synthefy_nori"),
    "EBM": ("interpret",),
    "IM_RULEFIT": ("imodels",),
    "IM_GREEDYTREE": ("imodels",),
    "IM_FIGS": ("imodels",),
    "IM_HSTREE": ("imodels",),
    "IM_BOOSTEDRULES": ("imodels",),
    "AG_TEXT_NN": ("autogluon.multimodal",),
    "AG_IMAGE_NN": ("autogluon.multimodal",),
    "AG_AUTOMM": ("autogluon.multimodal",),
    "FT_TRANSFORMER": ("autogluon.multimodal",),
}

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
    return [module for module in NEEDS.get(family, ()) if not is_installed(module)]


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
