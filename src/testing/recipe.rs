//! The recipes: which shapes, reductions, weights and masks a loss is run with.
//!
//! Not the full product: each new set of `override`s is a pipeline, which a software compiler takes 100 to 250 ms for.
//! Every value of every switch occurs in every frame, and so do the neighbours that are likely to meet.

use super::draw::column_weight_name;
use crate::Reduction;
use crate::losses::{Family, Loss};

/// What a number belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum ValueRange {
    #[default]
    None,
    Element,
    Row,
    Column,
}

/// How large the predictions are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Size {
    /// About 3.
    #[default]
    Usual,
    /// Up to so much.
    Large(f64),
    /// Usual, with NaN and infinities among them.
    Special,
}

/// How to draw the inputs of one case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe {
    pub shape: &'static [usize],
    pub reduction: Reduction,
    pub weight: ValueRange,
    pub mask: ValueRange,
    pub column_weight: bool,
    pub class_mask: ValueRange,
    pub upstream: bool,
    pub size: Size,
    /// Labels rather than dense targets, for the losses that take both.
    pub labels: bool,
    /// The share of rows whose label is ignored.
    pub ignored: f64,
    pub auxiliary: bool,
    /// The inputs live on the device, and so does the count of what is ignored.
    pub resident: bool,
    /// Predictions and dense targets are f16; where they are, they live on the device.
    pub half: bool,
}

const PLAIN: Recipe = Recipe {
    shape: &[7, 13],
    reduction: Reduction::Mean,
    weight: ValueRange::None,
    mask: ValueRange::None,
    column_weight: false,
    class_mask: ValueRange::None,
    upstream: false,
    size: Size::Usual,
    labels: true,
    ignored: 0.0,
    auxiliary: false,
    resident: false,
    half: false,
};

const NONE: Recipe = Recipe { reduction: Reduction::None, upstream: true, ..PLAIN };
const HALF: Recipe = Recipe { half: true, resident: true, ..PLAIN };
const LABELS: Recipe = Recipe { ignored: 0.25, ..PLAIN };
const DENSE: Recipe = Recipe { labels: false, ..PLAIN };

/// Pointwise, first those that a set of options other than the defaults is run with too.
const POINTWISE_SHORT: &[Recipe] = &[
    Recipe { shape: &[1], ..PLAIN },
    Recipe { shape: &[257, 65], ..PLAIN },
    Recipe { shape: &[1023], size: Size::Large(300.0), ..PLAIN },
    Recipe { shape: &[1023], size: Size::Large(1e4), ..PLAIN },
    Recipe { weight: ValueRange::Element, mask: ValueRange::Element, column_weight: true, ..NONE },
    Recipe { shape: &[33, 31], size: Size::Special, weight: ValueRange::Element, column_weight: true, ..NONE },
];

const POINTWISE_LONG: &[Recipe] = &[
    Recipe { reduction: Reduction::Sum, ..PLAIN },
    Recipe { shape: &[3, 4, 5], reduction: Reduction::BatchMean, upstream: true, ..PLAIN },
    Recipe { shape: &[64, 2048], reduction: Reduction::Divisor(1e5), ..PLAIN },
    Recipe { shape: &[5], resident: true, ..PLAIN },
    Recipe { shape: &[129, 513], resident: true, reduction: Reduction::BatchMean, ..PLAIN },
    Recipe { shape: &[33, 31], reduction: Reduction::Sum, ..HALF },
    Recipe { size: Size::Special, ..PLAIN },
    Recipe { shape: &[41, 29], weight: ValueRange::Row, reduction: Reduction::WeightedMean, ..PLAIN },
    Recipe { shape: &[3, 4, 5], weight: ValueRange::Row, mask: ValueRange::Row, reduction: Reduction::Sum, ..PLAIN },
    Recipe { shape: &[9, 3, 7], mask: ValueRange::Row, upstream: true, ..PLAIN },
    Recipe { shape: &[2, 3, 4, 5], ..NONE },
    Recipe { shape: &[19], weight: ValueRange::Element, ..NONE },
];

/// Pointwise, where a weight of each column is taken.
const POINTWISE_COLUMNS: &[Recipe] = &[
    Recipe { shape: &[21, 6], column_weight: true, ..PLAIN },
    Recipe { shape: &[130, 7], column_weight: true, reduction: Reduction::Sum, ..PLAIN },
];

/// Rows with labels, for every set of options.
const LABELS_SHORT: &[Recipe] = &[
    Recipe { shape: &[1, 1], ignored: 0.0, ..LABELS },
    Recipe { shape: &[300, 10], ..LABELS },
    Recipe { shape: &[64, 31], size: Size::Large(300.0), ..LABELS },
    Recipe { shape: &[70, 64], ..LABELS },
    Recipe { shape: &[17, 131], size: Size::Large(300.0), ..LABELS },
    Recipe { shape: &[9, 33], size: Size::Large(1e4), ..LABELS },
];

/// Rows with dense targets, for every set of options.
const DENSE_SHORT: &[Recipe] = &[
    Recipe { shape: &[45, 10], column_weight: true, class_mask: ValueRange::Element, weight: ValueRange::Row, ..DENSE },
    Recipe { shape: &[13, 131], column_weight: true, class_mask: ValueRange::Element, weight: ValueRange::Row, ..DENSE },
    Recipe { shape: &[37, 2], column_weight: true, class_mask: ValueRange::Element, weight: ValueRange::Row, ..DENSE },
];

const LABELS_LONG: &[Recipe] = &[
    Recipe { shape: &[33, 1], reduction: Reduction::Sum, ..LABELS },
    Recipe { shape: &[2, 3, 4], reduction: Reduction::BatchMean, upstream: true, ..LABELS },
    Recipe { shape: &[50, 10], ignored: 1.0, ..LABELS },
    Recipe { shape: &[3, 64], ignored: 1.0, ..LABELS },
    Recipe { shape: &[300, 1031], reduction: Reduction::Divisor(77.0), ..LABELS },
    Recipe { shape: &[5, 4099], ..LABELS },
    // Each value, every input at once.
    Recipe {
        shape: &[60, 10],
        weight: ValueRange::Row,
        mask: ValueRange::Row,
        column_weight: true,
        class_mask: ValueRange::Column,
        auxiliary: true,
        ignored: 0.2,
        ..NONE
    },
    Recipe {
        shape: &[31, 67],
        weight: ValueRange::Row,
        mask: ValueRange::Row,
        column_weight: true,
        class_mask: ValueRange::Column,
        auxiliary: true,
        ignored: 0.2,
        ..NONE
    },
    // Weights alone, so that each divisor is seen.
    Recipe { shape: &[50, 10], column_weight: true, ..LABELS },
    Recipe { shape: &[50, 100], column_weight: true, ..LABELS },
    Recipe { shape: &[50, 100], column_weight: true, reduction: Reduction::WeightedMean, ..LABELS },
    Recipe { shape: &[40, 9], weight: ValueRange::Row, reduction: Reduction::WeightedMean, ..LABELS },
    Recipe { shape: &[40, 90], weight: ValueRange::Row, reduction: Reduction::WeightedMean, ..LABELS },
    Recipe { shape: &[40, 90], mask: ValueRange::Row, ..LABELS },
    Recipe { shape: &[30, 12], size: Size::Special, ..NONE },
    Recipe { shape: &[30, 120], size: Size::Special, ..NONE },
    Recipe { shape: &[300, 10], resident: true, ..LABELS },
    Recipe { shape: &[20, 33], resident: true, ..LABELS },
    Recipe { shape: &[20, 33], resident: true, ignored: 1.0, ..LABELS },
    Recipe { shape: &[20, 33], resident: true, reduction: Reduction::Sum, ..LABELS },
    Recipe { shape: &[37, 67], ignored: 0.25, ..HALF },
];

const DENSE_LONG: &[Recipe] = &[
    Recipe { shape: &[1, 1], ..DENSE },
    Recipe { shape: &[2, 3, 31], reduction: Reduction::Sum, upstream: true, ..DENSE },
    Recipe { shape: &[40, 20], size: Size::Large(300.0), reduction: Reduction::BatchMean, ..DENSE },
    Recipe { shape: &[300, 64], ..DENSE },
    Recipe { shape: &[12, 131], size: Size::Large(300.0), ..DENSE },
    Recipe { shape: &[6, 1031], reduction: Reduction::Sum, ..DENSE },
    Recipe { shape: &[3, 4099], reduction: Reduction::Divisor(3.0), ..DENSE },
    Recipe { shape: &[20, 10], resident: true, ..DENSE },
    Recipe { shape: &[20, 100], resident: true, reduction: Reduction::BatchMean, ..DENSE },
    Recipe { shape: &[36, 13], labels: false, reduction: Reduction::Sum, ..HALF },
    Recipe { shape: &[11, 68], labels: false, ..HALF },
    Recipe { shape: &[30, 12], size: Size::Special, labels: false, ..NONE },
    Recipe { shape: &[30, 120], size: Size::Special, labels: false, ..NONE },
    Recipe { shape: &[25, 11], mask: ValueRange::Row, reduction: Reduction::WeightedMean, ..DENSE },
    Recipe { shape: &[25, 110], mask: ValueRange::Row, weight: ValueRange::Row, reduction: Reduction::WeightedMean, ..DENSE },
];

/// Which recipes fit a loss.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub rowwise: bool,
    pub takes_labels: bool,
    pub takes_dense: bool,
    pub takes_half: bool,
    pub has_auxiliary: bool,
    /// It takes `pos_weight` or `class_weight`.
    pub column_weight: bool,
    pub class_mask: bool,
    /// The options are the defaults: the long lists too.
    pub thorough: bool,
}

impl Kind {
    /// What a loss takes.
    pub fn of(loss: &dyn Loss, thorough: bool) -> Self {
        Kind {
            rowwise: !matches!(loss.family(), Family::Pointwise(_)),
            takes_labels: loss.targets().takes_labels(),
            takes_dense: loss.targets().takes_dense(),
            takes_half: matches!(loss.family(), Family::Pointwise(_) | Family::Rowwise(_)),
            has_auxiliary: loss.has_auxiliary(),
            column_weight: column_weight_name(loss).is_some(),
            class_mask: loss.inputs().iter().any(|input| input.name == "class_mask"),
            thorough,
        }
    }
}

/// The recipes of a loss; what it does not take is left out of them.
pub(super) fn recipes(kind: Kind) -> Vec<Recipe> {
    let lists: &[(&[Recipe], bool)] = &[
        (POINTWISE_SHORT, !kind.rowwise),
        (POINTWISE_LONG, !kind.rowwise && kind.thorough),
        (POINTWISE_COLUMNS, !kind.rowwise && kind.column_weight),
        (LABELS_SHORT, kind.rowwise && kind.takes_labels),
        (LABELS_LONG, kind.rowwise && kind.takes_labels && kind.thorough),
        (DENSE_SHORT, kind.rowwise && kind.takes_dense),
        (DENSE_LONG, kind.rowwise && kind.takes_dense && kind.thorough),
    ];
    let chosen = lists.iter().filter(|(_, fits)| *fits).flat_map(|(list, _)| list.iter());
    let chosen = chosen.filter(|recipe| kind.takes_half || !recipe.half);
    chosen
        .map(|&recipe| Recipe {
            column_weight: recipe.column_weight && kind.column_weight,
            class_mask: if kind.class_mask { recipe.class_mask } else { ValueRange::None },
            auxiliary: recipe.auxiliary && kind.has_auxiliary,
            ..recipe
        })
        .collect()
}
