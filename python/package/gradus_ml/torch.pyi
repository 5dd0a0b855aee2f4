"""Written by stubs.py from the catalogue of losses."""

from collections.abc import Sequence
from typing import Any, Optional, Union

import torch

from ._gradus import Device, Loss

__all__ = [
    "GradusLoss",
    "mse",
    "mae",
    "huber",
    "smooth_l1",
    "log_cosh",
    "pseudo_huber",
    "cauchy",
    "barron",
    "lp",
    "quantile",
    "expectile",
    "epsilon_insensitive",
    "squared_epsilon_insensitive",
    "mape",
    "msle",
    "poisson_nll",
    "gaussian_nll",
    "gamma_deviance",
    "tweedie",
    "aft",
    "bce",
    "bce_with_logits",
    "binary_focal",
    "asymmetric",
    "soft_margin",
    "hinge",
    "squared_hinge",
    "perceptron",
    "modified_huber",
    "exponential",
    "binary_sparsemax",
    "hinge_embedding",
    "cross_entropy",
    "nll",
    "focal",
    "poly1_cross_entropy",
    "poly_cross_entropy",
    "generalized_cross_entropy",
    "logit_adjusted_cross_entropy",
    "ldam",
    "sampled_softmax",
    "multi_margin",
    "multiclass_hinge",
    "categorical_hinge",
    "ordinal",
    "multilabel_soft_margin",
    "linear_cross_entropy",
    "linear_distillation",
    "linear_multilabel_soft_margin",
    "kl_div",
    "generalized_kl",
    "jsd",
    "distillation",
    "total_variation",
    "multilabel_margin",
    "sparsemax",
    "entmax",
    "dice",
    "generalized_dice",
    "tversky",
    "pairwise_logistic",
    "pairwise_hinge",
    "pairwise_soft_zero_one",
    "ranking_softmax",
    "list_net",
    "list_mle",
    "approx_ndcg",
    "lambda_rank",
    "unique_softmax",
    "calibrated_softmax",
    "approx_mrr",
    "pairwise_mse",
    "rank_xendcg",
    "cox",
    "margin_ranking",
    "bpr",
    "ctc",
    "rnnt",
    "iou",
    "giou",
    "diou",
    "ciou",
    "cosine_similarity",
    "cosine_embedding",
    "triplet_margin",
    "contrastive",
    "info_nce",
    "n_pairs",
    "sup_con",
    "nt_xent",
    "multi_similarity",
    "circle",
    "batch_triplet",
    "proxy_nca",
    "proxy_anchor",
    "barlow_twins",
    "vicreg",
    "dpo",
    "simpo",
    "orpo",
    "cpo",
    "kto",
    "grpo",
    "bnpo",
    "dr_grpo",
    "dapo",
    "cispo",
    "sapo",
    "linear_dpo",
    "linear_simpo",
    "linear_orpo",
    "linear_cpo",
    "linear_kto",
    "linear_grpo",
    "linear_bnpo",
    "linear_dr_grpo",
    "linear_dapo",
    "linear_cispo",
    "linear_sapo",
    "MseLoss",
    "MaeLoss",
    "HuberLoss",
    "SmoothL1Loss",
    "LogCoshLoss",
    "PseudoHuberLoss",
    "CauchyLoss",
    "BarronLoss",
    "LpLoss",
    "QuantileLoss",
    "ExpectileLoss",
    "EpsilonInsensitiveLoss",
    "SquaredEpsilonInsensitiveLoss",
    "MapeLoss",
    "MsleLoss",
    "PoissonNllLoss",
    "GaussianNllLoss",
    "GammaDevianceLoss",
    "TweedieLoss",
    "AftLoss",
    "BceLoss",
    "BceWithLogitsLoss",
    "BinaryFocalLoss",
    "AsymmetricLoss",
    "SoftMarginLoss",
    "HingeLoss",
    "SquaredHingeLoss",
    "PerceptronLoss",
    "ModifiedHuberLoss",
    "ExponentialLoss",
    "BinarySparsemaxLoss",
    "HingeEmbeddingLoss",
    "CrossEntropyLoss",
    "NllLoss",
    "FocalLoss",
    "Poly1CrossEntropyLoss",
    "PolyCrossEntropyLoss",
    "GeneralizedCrossEntropyLoss",
    "LogitAdjustedCrossEntropyLoss",
    "LdamLoss",
    "SampledSoftmaxLoss",
    "MultiMarginLoss",
    "MulticlassHingeLoss",
    "CategoricalHingeLoss",
    "OrdinalLoss",
    "MultilabelSoftMarginLoss",
    "LinearCrossEntropyLoss",
    "LinearDistillationLoss",
    "LinearMultilabelSoftMarginLoss",
    "KlDivLoss",
    "GeneralizedKlLoss",
    "JsdLoss",
    "DistillationLoss",
    "TotalVariationLoss",
    "MultilabelMarginLoss",
    "SparsemaxLoss",
    "EntmaxLoss",
    "DiceLoss",
    "GeneralizedDiceLoss",
    "TverskyLoss",
    "PairwiseLogisticLoss",
    "PairwiseHingeLoss",
    "PairwiseSoftZeroOneLoss",
    "RankingSoftmaxLoss",
    "ListNetLoss",
    "ListMleLoss",
    "ApproxNdcgLoss",
    "LambdaRankLoss",
    "UniqueSoftmaxLoss",
    "CalibratedSoftmaxLoss",
    "ApproxMrrLoss",
    "PairwiseMseLoss",
    "RankXendcgLoss",
    "CoxLoss",
    "MarginRankingLoss",
    "BprLoss",
    "CtcLoss",
    "RnntLoss",
    "IouLoss",
    "GiouLoss",
    "DiouLoss",
    "CiouLoss",
    "CosineSimilarityLoss",
    "CosineEmbeddingLoss",
    "TripletMarginLoss",
    "ContrastiveLoss",
    "InfoNceLoss",
    "NPairsLoss",
    "SupConLoss",
    "NtXentLoss",
    "MultiSimilarityLoss",
    "CircleLoss",
    "BatchTripletLoss",
    "ProxyNcaLoss",
    "ProxyAnchorLoss",
    "BarlowTwinsLoss",
    "VicregLoss",
    "DpoLoss",
    "SimpoLoss",
    "OrpoLoss",
    "CpoLoss",
    "KtoLoss",
    "GrpoLoss",
    "BnpoLoss",
    "DrGrpoLoss",
    "DapoLoss",
    "CispoLoss",
    "SapoLoss",
    "LinearDpoLoss",
    "LinearSimpoLoss",
    "LinearOrpoLoss",
    "LinearCpoLoss",
    "LinearKtoLoss",
    "LinearGrpoLoss",
    "LinearBnpoLoss",
    "LinearDrGrpoLoss",
    "LinearDapoLoss",
    "LinearCispoLoss",
    "LinearSapoLoss",
]

class GradusLoss(torch.nn.Module):
    loss: Loss
    def __init__(
        self,
        name: str,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        from_probabilities: bool = False,
        **options: Any,
    ) -> None: ...
    def forward(self, *inputs: Any, **named: Any) -> torch.Tensor: ...
    def extra_repr(self) -> str: ...

def mse(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
) -> torch.Tensor: ...

class MseLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def mae(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
) -> torch.Tensor: ...

class MaeLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def huber(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    delta: float = 1.0,
) -> torch.Tensor: ...

class HuberLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        delta: float = 1.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def smooth_l1(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    beta: float = 1.0,
) -> torch.Tensor: ...

class SmoothL1Loss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        beta: float = 1.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def log_cosh(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
) -> torch.Tensor: ...

class LogCoshLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def pseudo_huber(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    delta: float = 1.0,
) -> torch.Tensor: ...

class PseudoHuberLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        delta: float = 1.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def cauchy(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    scale: float = 1.0,
) -> torch.Tensor: ...

class CauchyLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        scale: float = 1.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def barron(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    alpha: float = 1.0,
    scale: float = 1.0,
) -> torch.Tensor: ...

class BarronLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        alpha: float = 1.0,
        scale: float = 1.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def lp(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    p: float = 2.0,
) -> torch.Tensor: ...

class LpLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        p: float = 2.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def quantile(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    quantile: float = 0.5,
) -> torch.Tensor: ...

class QuantileLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        quantile: float = 0.5,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def expectile(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    expectile: float = 0.5,
) -> torch.Tensor: ...

class ExpectileLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        expectile: float = 0.5,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def epsilon_insensitive(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon: float = 0.1,
) -> torch.Tensor: ...

class EpsilonInsensitiveLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon: float = 0.1,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def squared_epsilon_insensitive(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon: float = 0.1,
) -> torch.Tensor: ...

class SquaredEpsilonInsensitiveLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon: float = 0.1,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def mape(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
) -> torch.Tensor: ...

class MapeLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def msle(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
) -> torch.Tensor: ...

class MsleLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def poisson_nll(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    log_input: bool = True,
    full: bool = False,
    epsilon: float = 1e-08,
) -> torch.Tensor: ...

class PoissonNllLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        log_input: bool = True,
        full: bool = False,
        epsilon: float = 1e-08,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def gaussian_nll(
    predictions: torch.Tensor,
    variance: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    full: bool = False,
    epsilon: float = 1e-06,
    beta: float = 0.0,
) -> torch.Tensor: ...

class GaussianNllLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        full: bool = False,
        epsilon: float = 1e-06,
        beta: float = 0.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        variance: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def gamma_deviance(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
) -> torch.Tensor: ...

class GammaDevianceLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def tweedie(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    power: float = 1.5,
    link: str = "log",
) -> torch.Tensor: ...

class TweedieLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        power: float = 1.5,
        link: str = "log",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def aft(
    predictions: torch.Tensor,
    lower: torch.Tensor,
    upper: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    distribution: str = "normal",
    sigma: float = 1.0,
) -> torch.Tensor: ...

class AftLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        distribution: str = "normal",
        sigma: float = 1.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        lower: torch.Tensor,
        upper: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def bce(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    clip: float = 0.0,
) -> torch.Tensor: ...

class BceLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        clip: float = 0.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def bce_with_logits(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    pos_weight: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    from_probabilities: bool = False,
    label_smoothing: float = 0.0,
) -> torch.Tensor: ...

class BceWithLogitsLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        from_probabilities: bool = False,
        label_smoothing: float = 0.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        pos_weight: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def binary_focal(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    from_probabilities: bool = False,
    gamma: float = 2.0,
    alpha: Optional[float] = None,
) -> torch.Tensor: ...

class BinaryFocalLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        from_probabilities: bool = False,
        gamma: float = 2.0,
        alpha: Optional[float] = None,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def asymmetric(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    from_probabilities: bool = False,
    gamma_positive: float = 1.0,
    gamma_negative: float = 4.0,
    clip: float = 0.05,
) -> torch.Tensor: ...

class AsymmetricLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        from_probabilities: bool = False,
        gamma_positive: float = 1.0,
        gamma_negative: float = 4.0,
        clip: float = 0.05,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def soft_margin(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    labels: str = "sign",
) -> torch.Tensor: ...

class SoftMarginLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        labels: str = "sign",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def hinge(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    labels: str = "sign",
) -> torch.Tensor: ...

class HingeLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        labels: str = "sign",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def squared_hinge(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    labels: str = "sign",
) -> torch.Tensor: ...

class SquaredHingeLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        labels: str = "sign",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def perceptron(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    labels: str = "sign",
) -> torch.Tensor: ...

class PerceptronLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        labels: str = "sign",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def modified_huber(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    labels: str = "sign",
) -> torch.Tensor: ...

class ModifiedHuberLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        labels: str = "sign",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def exponential(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    labels: str = "sign",
) -> torch.Tensor: ...

class ExponentialLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        labels: str = "sign",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def binary_sparsemax(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    labels: str = "sign",
) -> torch.Tensor: ...

class BinarySparsemaxLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        labels: str = "sign",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def hinge_embedding(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    margin: float = 1.0,
    labels: str = "sign",
) -> torch.Tensor: ...

class HingeEmbeddingLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        margin: float = 1.0,
        labels: str = "sign",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def cross_entropy(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_weight: Optional[torch.Tensor] = ...,
    class_mask: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
    from_probabilities: bool = False,
    label_smoothing: float = 0.0,
    ignore_index: Union[int, Sequence[int]] = ...,
    z_loss: float = 0.0,
    softcap: Optional[float] = None,
    temperature: float = 1.0,
    target_logit_transform: Optional[str] = None,
    margin: Optional[float] = None,
    scale: float = 64.0,
) -> torch.Tensor: ...

class CrossEntropyLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        from_probabilities: bool = False,
        label_smoothing: float = 0.0,
        ignore_index: Union[int, Sequence[int]] = ...,
        z_loss: float = 0.0,
        softcap: Optional[float] = None,
        temperature: float = 1.0,
        target_logit_transform: Optional[str] = None,
        margin: Optional[float] = None,
        scale: float = 64.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_weight: Optional[torch.Tensor] = ...,
        class_mask: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def nll(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_weight: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
    from_probabilities: bool = False,
    ignore_index: Union[int, Sequence[int]] = ...,
) -> torch.Tensor: ...

class NllLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        from_probabilities: bool = False,
        ignore_index: Union[int, Sequence[int]] = ...,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_weight: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def focal(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_weight: Optional[torch.Tensor] = ...,
    class_mask: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
    from_probabilities: bool = False,
    gamma: float = 2.0,
    alpha: float = 1.0,
    label_smoothing: float = 0.0,
) -> torch.Tensor: ...

class FocalLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        from_probabilities: bool = False,
        gamma: float = 2.0,
        alpha: float = 1.0,
        label_smoothing: float = 0.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_weight: Optional[torch.Tensor] = ...,
        class_mask: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def poly1_cross_entropy(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_weight: Optional[torch.Tensor] = ...,
    class_mask: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
    from_probabilities: bool = False,
    epsilon: float = 2.0,
) -> torch.Tensor: ...

class Poly1CrossEntropyLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        from_probabilities: bool = False,
        epsilon: float = 2.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_weight: Optional[torch.Tensor] = ...,
        class_mask: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def poly_cross_entropy(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_weight: Optional[torch.Tensor] = ...,
    class_mask: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
    from_probabilities: bool = False,
    epsilons: Union[float, Sequence[float]] = ...,
) -> torch.Tensor: ...

class PolyCrossEntropyLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        from_probabilities: bool = False,
        epsilons: Union[float, Sequence[float]] = ...,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_weight: Optional[torch.Tensor] = ...,
        class_mask: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def generalized_cross_entropy(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_weight: Optional[torch.Tensor] = ...,
    class_mask: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
    from_probabilities: bool = False,
    q: float = 0.7,
) -> torch.Tensor: ...

class GeneralizedCrossEntropyLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        from_probabilities: bool = False,
        q: float = 0.7,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_weight: Optional[torch.Tensor] = ...,
        class_mask: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def logit_adjusted_cross_entropy(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_prior: Optional[torch.Tensor] = ...,
    class_mask: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
    tau: float = 1.0,
) -> torch.Tensor: ...

class LogitAdjustedCrossEntropyLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        tau: float = 1.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_prior: Optional[torch.Tensor] = ...,
        class_mask: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def ldam(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_prior: Optional[torch.Tensor] = ...,
    class_mask: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
    margin: float = 0.5,
    scale: float = 30.0,
) -> torch.Tensor: ...

class LdamLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        margin: float = 0.5,
        scale: float = 30.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_prior: Optional[torch.Tensor] = ...,
        class_mask: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def sampled_softmax(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    expected_count: Optional[torch.Tensor] = ...,
    class_mask: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
) -> torch.Tensor: ...

class SampledSoftmaxLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        expected_count: Optional[torch.Tensor] = ...,
        class_mask: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def multi_margin(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_weight: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
    p: int = 1,
    margin: float = 1.0,
) -> torch.Tensor: ...

class MultiMarginLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        p: int = 1,
        margin: float = 1.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_weight: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def multiclass_hinge(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_weight: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
) -> torch.Tensor: ...

class MulticlassHingeLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_weight: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def categorical_hinge(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
) -> torch.Tensor: ...

class CategoricalHingeLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def ordinal(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
) -> torch.Tensor: ...

class OrdinalLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def multilabel_soft_margin(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_weight: Optional[torch.Tensor] = ...,
    pos_weight: Optional[torch.Tensor] = ...,
    class_mask: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
) -> torch.Tensor: ...

class MultilabelSoftMarginLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_weight: Optional[torch.Tensor] = ...,
        pos_weight: Optional[torch.Tensor] = ...,
        class_mask: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def linear_cross_entropy(
    predictions: torch.Tensor,
    linear_weight: torch.Tensor,
    linear_bias: Optional[torch.Tensor] = ...,
    *,
    targets: torch.Tensor,
    class_weight: Optional[torch.Tensor] = ...,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    label_smoothing: float = 0.0,
    ignore_index: Union[int, Sequence[int]] = ...,
    z_loss: float = 0.0,
    softcap: Optional[float] = None,
    temperature: float = 1.0,
    target_logit_transform: Optional[str] = None,
    margin: Optional[float] = None,
    scale: float = 64.0,
) -> torch.Tensor: ...

class LinearCrossEntropyLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        label_smoothing: float = 0.0,
        ignore_index: Union[int, Sequence[int]] = ...,
        z_loss: float = 0.0,
        softcap: Optional[float] = None,
        temperature: float = 1.0,
        target_logit_transform: Optional[str] = None,
        margin: Optional[float] = None,
        scale: float = 64.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        linear_weight: torch.Tensor,
        linear_bias: Optional[torch.Tensor] = ...,
        *,
        targets: torch.Tensor,
        class_weight: Optional[torch.Tensor] = ...,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def linear_distillation(
    predictions: torch.Tensor,
    linear_weight: torch.Tensor,
    linear_bias: Optional[torch.Tensor] = ...,
    *,
    targets: torch.Tensor,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    temperature: float = 2.0,
    scaled: bool = True,
    divergence: str = "kl",
    beta: float = 0.5,
) -> torch.Tensor: ...

class LinearDistillationLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        temperature: float = 2.0,
        scaled: bool = True,
        divergence: str = "kl",
        beta: float = 0.5,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        linear_weight: torch.Tensor,
        linear_bias: Optional[torch.Tensor] = ...,
        *,
        targets: torch.Tensor,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def linear_multilabel_soft_margin(
    predictions: torch.Tensor,
    linear_weight: torch.Tensor,
    linear_bias: Optional[torch.Tensor] = ...,
    *,
    targets: torch.Tensor,
    class_weight: Optional[torch.Tensor] = ...,
    pos_weight: Optional[torch.Tensor] = ...,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
) -> torch.Tensor: ...

class LinearMultilabelSoftMarginLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        linear_weight: torch.Tensor,
        linear_bias: Optional[torch.Tensor] = ...,
        *,
        targets: torch.Tensor,
        class_weight: Optional[torch.Tensor] = ...,
        pos_weight: Optional[torch.Tensor] = ...,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def kl_div(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    from_probabilities: bool = False,
    log_target: bool = False,
) -> torch.Tensor: ...

class KlDivLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        from_probabilities: bool = False,
        log_target: bool = False,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def generalized_kl(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_weight: Optional[torch.Tensor] = ...,
    class_mask: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
) -> torch.Tensor: ...

class GeneralizedKlLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_weight: Optional[torch.Tensor] = ...,
        class_mask: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def jsd(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_weight: Optional[torch.Tensor] = ...,
    class_mask: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
    from_probabilities: bool = False,
    beta: float = 0.5,
) -> torch.Tensor: ...

class JsdLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        from_probabilities: bool = False,
        beta: float = 0.5,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_weight: Optional[torch.Tensor] = ...,
        class_mask: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def distillation(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_mask: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
    temperature: float = 2.0,
    scaled: bool = True,
    divergence: str = "kl",
    beta: float = 0.5,
) -> torch.Tensor: ...

class DistillationLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        temperature: float = 2.0,
        scaled: bool = True,
        divergence: str = "kl",
        beta: float = 0.5,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_mask: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def total_variation(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_weight: Optional[torch.Tensor] = ...,
    class_mask: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
) -> torch.Tensor: ...

class TotalVariationLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_weight: Optional[torch.Tensor] = ...,
        class_mask: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def multilabel_margin(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
) -> torch.Tensor: ...

class MultilabelMarginLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def sparsemax(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
) -> torch.Tensor: ...

class SparsemaxLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def entmax(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
    alpha: float = 1.5,
) -> torch.Tensor: ...

class EntmaxLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        alpha: float = 1.5,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def dice(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_weight: Optional[torch.Tensor] = ...,
    class_mask: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
    smooth: float = 1.0,
) -> torch.Tensor: ...

class DiceLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        smooth: float = 1.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_weight: Optional[torch.Tensor] = ...,
        class_mask: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def generalized_dice(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    smooth: float = 1e-05,
) -> torch.Tensor: ...

class GeneralizedDiceLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        smooth: float = 1e-05,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def tversky(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    class_weight: Optional[torch.Tensor] = ...,
    class_mask: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
    false_positive_weight: float = 0.5,
    false_negative_weight: float = 0.5,
    smooth: float = 1.0,
) -> torch.Tensor: ...

class TverskyLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        false_positive_weight: float = 0.5,
        false_negative_weight: float = 0.5,
        smooth: float = 1.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        class_weight: Optional[torch.Tensor] = ...,
        class_mask: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def pairwise_logistic(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    item_weight: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    temperature: float = 1.0,
    lambda_: str = "none",
    top_n: int = 0,
    gain: str = "exponential",
    discount: str = "log2",
    relative: float = 0.0,
    normalized: bool = True,
) -> torch.Tensor: ...

class PairwiseLogisticLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        temperature: float = 1.0,
        lambda_: str = "none",
        top_n: int = 0,
        gain: str = "exponential",
        discount: str = "log2",
        relative: float = 0.0,
        normalized: bool = True,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        item_weight: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def pairwise_hinge(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    item_weight: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    temperature: float = 1.0,
    lambda_: str = "none",
    top_n: int = 0,
    gain: str = "exponential",
    discount: str = "log2",
    relative: float = 0.0,
    normalized: bool = True,
) -> torch.Tensor: ...

class PairwiseHingeLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        temperature: float = 1.0,
        lambda_: str = "none",
        top_n: int = 0,
        gain: str = "exponential",
        discount: str = "log2",
        relative: float = 0.0,
        normalized: bool = True,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        item_weight: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def pairwise_soft_zero_one(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    item_weight: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    temperature: float = 1.0,
    lambda_: str = "none",
    top_n: int = 0,
    gain: str = "exponential",
    discount: str = "log2",
    relative: float = 0.0,
    normalized: bool = True,
) -> torch.Tensor: ...

class PairwiseSoftZeroOneLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        temperature: float = 1.0,
        lambda_: str = "none",
        top_n: int = 0,
        gain: str = "exponential",
        discount: str = "log2",
        relative: float = 0.0,
        normalized: bool = True,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        item_weight: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def ranking_softmax(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
) -> torch.Tensor: ...

class RankingSoftmaxLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def list_net(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
) -> torch.Tensor: ...

class ListNetLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def list_mle(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
) -> torch.Tensor: ...

class ListMleLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def approx_ndcg(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    temperature: float = 0.1,
    gain: str = "exponential",
    discount: str = "log2",
) -> torch.Tensor: ...

class ApproxNdcgLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        temperature: float = 0.1,
        gain: str = "exponential",
        discount: str = "log2",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def lambda_rank(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    item_weight: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    temperature: float = 1.0,
    lambda_: str = "ndcg",
    top_n: int = 0,
    gain: str = "exponential",
    discount: str = "log2",
    relative: float = 0.0,
    normalized: bool = True,
) -> torch.Tensor: ...

class LambdaRankLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        temperature: float = 1.0,
        lambda_: str = "ndcg",
        top_n: int = 0,
        gain: str = "exponential",
        discount: str = "log2",
        relative: float = 0.0,
        normalized: bool = True,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        item_weight: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def unique_softmax(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
) -> torch.Tensor: ...

class UniqueSoftmaxLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def calibrated_softmax(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
    virtual_label: float = 1.0,
) -> torch.Tensor: ...

class CalibratedSoftmaxLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        virtual_label: float = 1.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def approx_mrr(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    temperature: float = 0.1,
) -> torch.Tensor: ...

class ApproxMrrLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        temperature: float = 0.1,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def pairwise_mse(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
) -> torch.Tensor: ...

class PairwiseMseLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def rank_xendcg(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    noise: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    class_axis: Optional[int] = None,
) -> torch.Tensor: ...

class RankXendcgLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
        noise: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def cox(
    predictions: torch.Tensor,
    times: torch.Tensor,
    events: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    ties: str = "breslow",
) -> torch.Tensor: ...

class CoxLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        ties: str = "breslow",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        times: torch.Tensor,
        events: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def margin_ranking(
    first: torch.Tensor,
    second: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    margin: float = 0.0,
) -> torch.Tensor: ...

class MarginRankingLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        margin: float = 0.0,
    ) -> None: ...
    def forward(
        self,
        first: torch.Tensor,
        second: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def bpr(
    positive: torch.Tensor,
    negative: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
) -> torch.Tensor: ...

class BprLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
    ) -> None: ...
    def forward(
        self,
        positive: torch.Tensor,
        negative: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def ctc(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    input_lengths: torch.Tensor,
    target_lengths: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    blank: int = 0,
    zero_infinity: bool = False,
) -> torch.Tensor: ...

class CtcLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        blank: int = 0,
        zero_infinity: bool = False,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        input_lengths: torch.Tensor,
        target_lengths: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def rnnt(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    input_lengths: torch.Tensor,
    target_lengths: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    blank: int = 0,
) -> torch.Tensor: ...

class RnntLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        blank: int = 0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        input_lengths: torch.Tensor,
        target_lengths: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def iou(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon: float = 1e-07,
) -> torch.Tensor: ...

class IouLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon: float = 1e-07,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def giou(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon: float = 1e-07,
) -> torch.Tensor: ...

class GiouLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon: float = 1e-07,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def diou(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon: float = 1e-07,
) -> torch.Tensor: ...

class DiouLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon: float = 1e-07,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def ciou(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon: float = 1e-07,
    detach: bool = True,
) -> torch.Tensor: ...

class CiouLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon: float = 1e-07,
        detach: bool = True,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def cosine_similarity(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon: float = 1e-08,
) -> torch.Tensor: ...

class CosineSimilarityLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon: float = 1e-08,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def cosine_embedding(
    first: torch.Tensor,
    second: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    margin: float = 0.0,
) -> torch.Tensor: ...

class CosineEmbeddingLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        margin: float = 0.0,
    ) -> None: ...
    def forward(
        self,
        first: torch.Tensor,
        second: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def triplet_margin(
    anchor: torch.Tensor,
    positive: torch.Tensor,
    negative: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    margin: float = 1.0,
    p: float = 2.0,
    epsilon: float = 1e-06,
    swap: bool = False,
) -> torch.Tensor: ...

class TripletMarginLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        margin: float = 1.0,
        p: float = 2.0,
        epsilon: float = 1e-06,
        swap: bool = False,
    ) -> None: ...
    def forward(
        self,
        anchor: torch.Tensor,
        positive: torch.Tensor,
        negative: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def contrastive(
    first: torch.Tensor,
    second: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    margin: float = 1.0,
    epsilon: float = 1e-06,
) -> torch.Tensor: ...

class ContrastiveLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        margin: float = 1.0,
        epsilon: float = 1e-06,
    ) -> None: ...
    def forward(
        self,
        first: torch.Tensor,
        second: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def info_nce(
    first: torch.Tensor,
    second: torch.Tensor,
    references: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    temperature: float = 0.07,
    symmetric: bool = False,
    normalize: bool = True,
) -> torch.Tensor: ...

class InfoNceLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        temperature: float = 0.07,
        symmetric: bool = False,
        normalize: bool = True,
    ) -> None: ...
    def forward(
        self,
        first: torch.Tensor,
        second: torch.Tensor,
        references: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def n_pairs(
    anchor: torch.Tensor,
    positive: torch.Tensor,
    references: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
) -> torch.Tensor: ...

class NPairsLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
    ) -> None: ...
    def forward(
        self,
        anchor: torch.Tensor,
        positive: torch.Tensor,
        references: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def sup_con(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    references: Optional[torch.Tensor] = ...,
    reference_labels: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    temperature: float = 0.1,
) -> torch.Tensor: ...

class SupConLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        temperature: float = 0.1,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        references: Optional[torch.Tensor] = ...,
        reference_labels: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def nt_xent(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    references: Optional[torch.Tensor] = ...,
    reference_labels: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    temperature: float = 0.07,
) -> torch.Tensor: ...

class NtXentLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        temperature: float = 0.07,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        references: Optional[torch.Tensor] = ...,
        reference_labels: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def multi_similarity(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    references: Optional[torch.Tensor] = ...,
    reference_labels: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
) -> torch.Tensor: ...

class MultiSimilarityLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        references: Optional[torch.Tensor] = ...,
        reference_labels: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def circle(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    references: Optional[torch.Tensor] = ...,
    reference_labels: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    margin: float = 0.4,
    gamma: float = 80.0,
    detach: bool = True,
) -> torch.Tensor: ...

class CircleLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        margin: float = 0.4,
        gamma: float = 80.0,
        detach: bool = True,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        references: Optional[torch.Tensor] = ...,
        reference_labels: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def batch_triplet(
    predictions: torch.Tensor,
    targets: torch.Tensor,
    references: Optional[torch.Tensor] = ...,
    reference_labels: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    margin: float = 0.3,
    mining: str = "batch_hard",
) -> torch.Tensor: ...

class BatchTripletLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        margin: float = 0.3,
        mining: str = "batch_hard",
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        targets: torch.Tensor,
        references: Optional[torch.Tensor] = ...,
        reference_labels: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def proxy_nca(
    predictions: torch.Tensor,
    proxies: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    scale: float = 1.0,
) -> torch.Tensor: ...

class ProxyNcaLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        scale: float = 1.0,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        proxies: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def proxy_anchor(
    predictions: torch.Tensor,
    proxies: torch.Tensor,
    targets: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    alpha: float = 32.0,
    margin: float = 0.1,
) -> torch.Tensor: ...

class ProxyAnchorLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        alpha: float = 32.0,
        margin: float = 0.1,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        proxies: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def barlow_twins(
    first: torch.Tensor,
    second: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    lambda_: float = 0.005,
    epsilon: float = 1e-05,
) -> torch.Tensor: ...

class BarlowTwinsLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        lambda_: float = 0.005,
        epsilon: float = 1e-05,
    ) -> None: ...
    def forward(
        self,
        first: torch.Tensor,
        second: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def vicreg(
    first: torch.Tensor,
    second: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    invariance_lambda: float = 25.0,
    variance_mu: float = 25.0,
    covariance_v: float = 1.0,
    epsilon: float = 0.0001,
) -> torch.Tensor: ...

class VicregLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        invariance_lambda: float = 25.0,
        variance_mu: float = 25.0,
        covariance_v: float = 1.0,
        epsilon: float = 0.0001,
    ) -> None: ...
    def forward(
        self,
        first: torch.Tensor,
        second: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def dpo(
    policy_chosen: torch.Tensor,
    policy_rejected: torch.Tensor,
    reference_chosen: Optional[torch.Tensor] = ...,
    reference_rejected: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    beta: float = 0.1,
    loss_type: str = "sigmoid",
    label_smoothing: float = 0.0,
) -> torch.Tensor: ...

class DpoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        beta: float = 0.1,
        loss_type: str = "sigmoid",
        label_smoothing: float = 0.0,
    ) -> None: ...
    def forward(
        self,
        policy_chosen: torch.Tensor,
        policy_rejected: torch.Tensor,
        reference_chosen: Optional[torch.Tensor] = ...,
        reference_rejected: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def simpo(
    policy_chosen: torch.Tensor,
    policy_rejected: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    beta: float = 2.0,
    gamma: float = 1.0,
    label_smoothing: float = 0.0,
) -> torch.Tensor: ...

class SimpoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        beta: float = 2.0,
        gamma: float = 1.0,
        label_smoothing: float = 0.0,
    ) -> None: ...
    def forward(
        self,
        policy_chosen: torch.Tensor,
        policy_rejected: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def orpo(
    policy_chosen: torch.Tensor,
    policy_rejected: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    beta: float = 0.1,
    nll: float = 1.0,
) -> torch.Tensor: ...

class OrpoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        beta: float = 0.1,
        nll: float = 1.0,
    ) -> None: ...
    def forward(
        self,
        policy_chosen: torch.Tensor,
        policy_rejected: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def cpo(
    policy_chosen: torch.Tensor,
    policy_rejected: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    alpha: float = 1.0,
) -> torch.Tensor: ...

class CpoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        beta: float = 0.1,
        label_smoothing: float = 0.0,
        alpha: float = 1.0,
    ) -> None: ...
    def forward(
        self,
        policy_chosen: torch.Tensor,
        policy_rejected: torch.Tensor,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def kto(
    policy: torch.Tensor,
    reference: torch.Tensor,
    targets: torch.Tensor,
    kl: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> torch.Tensor: ...

class KtoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        beta: float = 0.1,
        desirable_weight: float = 1.0,
        undesirable_weight: float = 1.0,
    ) -> None: ...
    def forward(
        self,
        policy: torch.Tensor,
        reference: torch.Tensor,
        targets: torch.Tensor,
        kl: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def grpo(
    log_probs: torch.Tensor,
    advantages: torch.Tensor,
    old_log_probs: Optional[torch.Tensor] = ...,
    ref_log_probs: Optional[torch.Tensor] = ...,
    completion_mask: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon: float = 0.2,
    epsilon_high: Optional[float] = None,
    delta: Optional[float] = None,
    beta: float = 0.04,
) -> torch.Tensor: ...

class GrpoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon: float = 0.2,
        epsilon_high: Optional[float] = None,
        delta: Optional[float] = None,
        beta: float = 0.04,
    ) -> None: ...
    def forward(
        self,
        log_probs: torch.Tensor,
        advantages: torch.Tensor,
        old_log_probs: Optional[torch.Tensor] = ...,
        ref_log_probs: Optional[torch.Tensor] = ...,
        completion_mask: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def bnpo(
    log_probs: torch.Tensor,
    advantages: torch.Tensor,
    old_log_probs: Optional[torch.Tensor] = ...,
    ref_log_probs: Optional[torch.Tensor] = ...,
    completion_mask: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon: float = 0.2,
    epsilon_high: Optional[float] = None,
    delta: Optional[float] = None,
    beta: float = 0.04,
) -> torch.Tensor: ...

class BnpoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon: float = 0.2,
        epsilon_high: Optional[float] = None,
        delta: Optional[float] = None,
        beta: float = 0.04,
    ) -> None: ...
    def forward(
        self,
        log_probs: torch.Tensor,
        advantages: torch.Tensor,
        old_log_probs: Optional[torch.Tensor] = ...,
        ref_log_probs: Optional[torch.Tensor] = ...,
        completion_mask: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def dr_grpo(
    log_probs: torch.Tensor,
    advantages: torch.Tensor,
    old_log_probs: Optional[torch.Tensor] = ...,
    ref_log_probs: Optional[torch.Tensor] = ...,
    completion_mask: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon: float = 0.2,
    epsilon_high: Optional[float] = None,
    delta: Optional[float] = None,
    beta: float = 0.04,
    max_completion_length: Optional[int] = None,
) -> torch.Tensor: ...

class DrGrpoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon: float = 0.2,
        epsilon_high: Optional[float] = None,
        delta: Optional[float] = None,
        beta: float = 0.04,
        max_completion_length: Optional[int] = None,
    ) -> None: ...
    def forward(
        self,
        log_probs: torch.Tensor,
        advantages: torch.Tensor,
        old_log_probs: Optional[torch.Tensor] = ...,
        ref_log_probs: Optional[torch.Tensor] = ...,
        completion_mask: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def dapo(
    log_probs: torch.Tensor,
    advantages: torch.Tensor,
    old_log_probs: Optional[torch.Tensor] = ...,
    ref_log_probs: Optional[torch.Tensor] = ...,
    completion_mask: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon: float = 0.2,
    epsilon_high: Optional[float] = 0.28,
    delta: Optional[float] = None,
    beta: float = 0.04,
) -> torch.Tensor: ...

class DapoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon: float = 0.2,
        epsilon_high: Optional[float] = 0.28,
        delta: Optional[float] = None,
        beta: float = 0.04,
    ) -> None: ...
    def forward(
        self,
        log_probs: torch.Tensor,
        advantages: torch.Tensor,
        old_log_probs: Optional[torch.Tensor] = ...,
        ref_log_probs: Optional[torch.Tensor] = ...,
        completion_mask: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def cispo(
    log_probs: torch.Tensor,
    advantages: torch.Tensor,
    old_log_probs: Optional[torch.Tensor] = ...,
    ref_log_probs: Optional[torch.Tensor] = ...,
    completion_mask: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon_high: float = 5.0,
    beta: float = 0.04,
) -> torch.Tensor: ...

class CispoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon_high: float = 5.0,
        beta: float = 0.04,
    ) -> None: ...
    def forward(
        self,
        log_probs: torch.Tensor,
        advantages: torch.Tensor,
        old_log_probs: Optional[torch.Tensor] = ...,
        ref_log_probs: Optional[torch.Tensor] = ...,
        completion_mask: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def sapo(
    log_probs: torch.Tensor,
    advantages: torch.Tensor,
    old_log_probs: Optional[torch.Tensor] = ...,
    ref_log_probs: Optional[torch.Tensor] = ...,
    completion_mask: Optional[torch.Tensor] = ...,
    *,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    sapo_temperature_pos: float = 1.0,
    sapo_temperature_neg: float = 1.05,
    beta: float = 0.04,
) -> torch.Tensor: ...

class SapoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        sapo_temperature_pos: float = 1.0,
        sapo_temperature_neg: float = 1.05,
        beta: float = 0.04,
    ) -> None: ...
    def forward(
        self,
        log_probs: torch.Tensor,
        advantages: torch.Tensor,
        old_log_probs: Optional[torch.Tensor] = ...,
        ref_log_probs: Optional[torch.Tensor] = ...,
        completion_mask: Optional[torch.Tensor] = ...,
        *,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def linear_dpo(
    predictions: torch.Tensor,
    linear_weight: torch.Tensor,
    linear_bias: Optional[torch.Tensor] = ...,
    *,
    targets: torch.Tensor,
    reference_chosen: Optional[torch.Tensor] = ...,
    reference_rejected: Optional[torch.Tensor] = ...,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    beta: float = 0.1,
    loss_type: str = "sigmoid",
    label_smoothing: float = 0.0,
    average_log_prob: bool = False,
) -> torch.Tensor: ...

class LinearDpoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        beta: float = 0.1,
        loss_type: str = "sigmoid",
        label_smoothing: float = 0.0,
        average_log_prob: bool = False,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        linear_weight: torch.Tensor,
        linear_bias: Optional[torch.Tensor] = ...,
        *,
        targets: torch.Tensor,
        reference_chosen: Optional[torch.Tensor] = ...,
        reference_rejected: Optional[torch.Tensor] = ...,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def linear_simpo(
    predictions: torch.Tensor,
    linear_weight: torch.Tensor,
    linear_bias: Optional[torch.Tensor] = ...,
    *,
    targets: torch.Tensor,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    beta: float = 2.0,
    gamma: float = 1.0,
    label_smoothing: float = 0.0,
    average_log_prob: bool = True,
) -> torch.Tensor: ...

class LinearSimpoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        beta: float = 2.0,
        gamma: float = 1.0,
        label_smoothing: float = 0.0,
        average_log_prob: bool = True,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        linear_weight: torch.Tensor,
        linear_bias: Optional[torch.Tensor] = ...,
        *,
        targets: torch.Tensor,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def linear_orpo(
    predictions: torch.Tensor,
    linear_weight: torch.Tensor,
    linear_bias: Optional[torch.Tensor] = ...,
    *,
    targets: torch.Tensor,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    beta: float = 0.1,
    nll: float = 1.0,
    average_log_prob: bool = True,
) -> torch.Tensor: ...

class LinearOrpoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        beta: float = 0.1,
        nll: float = 1.0,
        average_log_prob: bool = True,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        linear_weight: torch.Tensor,
        linear_bias: Optional[torch.Tensor] = ...,
        *,
        targets: torch.Tensor,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def linear_cpo(
    predictions: torch.Tensor,
    linear_weight: torch.Tensor,
    linear_bias: Optional[torch.Tensor] = ...,
    *,
    targets: torch.Tensor,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    alpha: float = 1.0,
    average_log_prob: bool = False,
) -> torch.Tensor: ...

class LinearCpoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        beta: float = 0.1,
        label_smoothing: float = 0.0,
        alpha: float = 1.0,
        average_log_prob: bool = False,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        linear_weight: torch.Tensor,
        linear_bias: Optional[torch.Tensor] = ...,
        *,
        targets: torch.Tensor,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def linear_kto(
    predictions: torch.Tensor,
    linear_weight: torch.Tensor,
    linear_bias: Optional[torch.Tensor] = ...,
    *,
    targets: torch.Tensor,
    reference: torch.Tensor,
    desirable: torch.Tensor,
    kl: Optional[torch.Tensor] = ...,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
    average_log_prob: bool = False,
) -> torch.Tensor: ...

class LinearKtoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        beta: float = 0.1,
        desirable_weight: float = 1.0,
        undesirable_weight: float = 1.0,
        average_log_prob: bool = False,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        linear_weight: torch.Tensor,
        linear_bias: Optional[torch.Tensor] = ...,
        *,
        targets: torch.Tensor,
        reference: torch.Tensor,
        desirable: torch.Tensor,
        kl: Optional[torch.Tensor] = ...,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def linear_grpo(
    predictions: torch.Tensor,
    linear_weight: torch.Tensor,
    linear_bias: Optional[torch.Tensor] = ...,
    *,
    targets: torch.Tensor,
    advantages: torch.Tensor,
    old_log_probs: Optional[torch.Tensor] = ...,
    ref_log_probs: Optional[torch.Tensor] = ...,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon: float = 0.2,
    epsilon_high: Optional[float] = None,
    delta: Optional[float] = None,
    beta: float = 0.04,
) -> torch.Tensor: ...

class LinearGrpoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon: float = 0.2,
        epsilon_high: Optional[float] = None,
        delta: Optional[float] = None,
        beta: float = 0.04,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        linear_weight: torch.Tensor,
        linear_bias: Optional[torch.Tensor] = ...,
        *,
        targets: torch.Tensor,
        advantages: torch.Tensor,
        old_log_probs: Optional[torch.Tensor] = ...,
        ref_log_probs: Optional[torch.Tensor] = ...,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def linear_bnpo(
    predictions: torch.Tensor,
    linear_weight: torch.Tensor,
    linear_bias: Optional[torch.Tensor] = ...,
    *,
    targets: torch.Tensor,
    advantages: torch.Tensor,
    old_log_probs: Optional[torch.Tensor] = ...,
    ref_log_probs: Optional[torch.Tensor] = ...,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon: float = 0.2,
    epsilon_high: Optional[float] = None,
    delta: Optional[float] = None,
    beta: float = 0.04,
) -> torch.Tensor: ...

class LinearBnpoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon: float = 0.2,
        epsilon_high: Optional[float] = None,
        delta: Optional[float] = None,
        beta: float = 0.04,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        linear_weight: torch.Tensor,
        linear_bias: Optional[torch.Tensor] = ...,
        *,
        targets: torch.Tensor,
        advantages: torch.Tensor,
        old_log_probs: Optional[torch.Tensor] = ...,
        ref_log_probs: Optional[torch.Tensor] = ...,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def linear_dr_grpo(
    predictions: torch.Tensor,
    linear_weight: torch.Tensor,
    linear_bias: Optional[torch.Tensor] = ...,
    *,
    targets: torch.Tensor,
    advantages: torch.Tensor,
    old_log_probs: Optional[torch.Tensor] = ...,
    ref_log_probs: Optional[torch.Tensor] = ...,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon: float = 0.2,
    epsilon_high: Optional[float] = None,
    delta: Optional[float] = None,
    beta: float = 0.04,
    max_completion_length: Optional[int] = None,
) -> torch.Tensor: ...

class LinearDrGrpoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon: float = 0.2,
        epsilon_high: Optional[float] = None,
        delta: Optional[float] = None,
        beta: float = 0.04,
        max_completion_length: Optional[int] = None,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        linear_weight: torch.Tensor,
        linear_bias: Optional[torch.Tensor] = ...,
        *,
        targets: torch.Tensor,
        advantages: torch.Tensor,
        old_log_probs: Optional[torch.Tensor] = ...,
        ref_log_probs: Optional[torch.Tensor] = ...,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def linear_dapo(
    predictions: torch.Tensor,
    linear_weight: torch.Tensor,
    linear_bias: Optional[torch.Tensor] = ...,
    *,
    targets: torch.Tensor,
    advantages: torch.Tensor,
    old_log_probs: Optional[torch.Tensor] = ...,
    ref_log_probs: Optional[torch.Tensor] = ...,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon: float = 0.2,
    epsilon_high: Optional[float] = 0.28,
    delta: Optional[float] = None,
    beta: float = 0.04,
) -> torch.Tensor: ...

class LinearDapoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon: float = 0.2,
        epsilon_high: Optional[float] = 0.28,
        delta: Optional[float] = None,
        beta: float = 0.04,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        linear_weight: torch.Tensor,
        linear_bias: Optional[torch.Tensor] = ...,
        *,
        targets: torch.Tensor,
        advantages: torch.Tensor,
        old_log_probs: Optional[torch.Tensor] = ...,
        ref_log_probs: Optional[torch.Tensor] = ...,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def linear_cispo(
    predictions: torch.Tensor,
    linear_weight: torch.Tensor,
    linear_bias: Optional[torch.Tensor] = ...,
    *,
    targets: torch.Tensor,
    advantages: torch.Tensor,
    old_log_probs: Optional[torch.Tensor] = ...,
    ref_log_probs: Optional[torch.Tensor] = ...,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    epsilon_high: float = 5.0,
    beta: float = 0.04,
) -> torch.Tensor: ...

class LinearCispoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        epsilon_high: float = 5.0,
        beta: float = 0.04,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        linear_weight: torch.Tensor,
        linear_bias: Optional[torch.Tensor] = ...,
        *,
        targets: torch.Tensor,
        advantages: torch.Tensor,
        old_log_probs: Optional[torch.Tensor] = ...,
        ref_log_probs: Optional[torch.Tensor] = ...,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...

def linear_sapo(
    predictions: torch.Tensor,
    linear_weight: torch.Tensor,
    linear_bias: Optional[torch.Tensor] = ...,
    *,
    targets: torch.Tensor,
    advantages: torch.Tensor,
    old_log_probs: Optional[torch.Tensor] = ...,
    ref_log_probs: Optional[torch.Tensor] = ...,
    weight: Optional[torch.Tensor] = ...,
    row_weight: Optional[torch.Tensor] = ...,
    mask: Optional[torch.Tensor] = ...,
    upstream: Optional[torch.Tensor] = ...,
    reduction: Union[str, float] = "mean",
    device: Union[str, Device] = "cpu",
    sapo_temperature_pos: float = 1.0,
    sapo_temperature_neg: float = 1.05,
    beta: float = 0.04,
) -> torch.Tensor: ...

class LinearSapoLoss(GradusLoss):
    def __init__(
        self,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        sapo_temperature_pos: float = 1.0,
        sapo_temperature_neg: float = 1.05,
        beta: float = 0.04,
    ) -> None: ...
    def forward(
        self,
        predictions: torch.Tensor,
        linear_weight: torch.Tensor,
        linear_bias: Optional[torch.Tensor] = ...,
        *,
        targets: torch.Tensor,
        advantages: torch.Tensor,
        old_log_probs: Optional[torch.Tensor] = ...,
        ref_log_probs: Optional[torch.Tensor] = ...,
        weight: Optional[torch.Tensor] = ...,
        row_weight: Optional[torch.Tensor] = ...,
        mask: Optional[torch.Tensor] = ...,
        upstream: Optional[torch.Tensor] = ...,
    ) -> torch.Tensor: ...
