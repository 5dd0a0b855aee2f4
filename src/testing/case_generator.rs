//! Case generators: the shapes, reductions, weights and masks a loss is tested with.
//!
//! Not the full product: each new set of `override`s is a pipeline, which a software compiler takes
//! 100 to 250 ms for. Every value of every switch occurs with every kernel template, as do the
//! combinations likely to interact.

use crate::Reduction;
use crate::losses::{LossDefinition, OneInput, Template};
use crate::templates::argument::of_columns;

/// Granularity of a weight or mask.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Granularity {
    #[default]
    None,
    Element,
    Row,
    Column,
}

/// Magnitude of the predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Size {
    /// About 3.
    #[default]
    Usual,
    /// Up to this value.
    Large(f64),
    /// Usual, mixed with NaN and infinities.
    Special,
}

/// Generator of one case's inputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct CaseGenerator {
    pub shape: &'static [usize],
    pub reduction: Reduction,
    pub weight: Granularity,
    pub mask: Granularity,
    pub column_weight: bool,
    pub class_mask: Granularity,
    pub upstream: bool,
    pub size: Size,
    /// True for labels rather than dense targets, for losses that accept both.
    pub labels: bool,
    /// Fraction of rows with an ignored label.
    pub ignored: f64,
    pub auxiliary: bool,
    /// True if the inputs are on the device, and the count of ignored rows too.
    pub resident: bool,
    /// True if predictions and dense targets are f16; then they are on the device.
    pub half: bool,
}

const PLAIN: CaseGenerator = CaseGenerator {
    shape: &[7, 13],
    reduction: Reduction::Mean,
    weight: Granularity::None,
    mask: Granularity::None,
    column_weight: false,
    class_mask: Granularity::None,
    upstream: false,
    size: Size::Usual,
    labels: true,
    ignored: 0.0,
    auxiliary: false,
    resident: false,
    half: false,
};

const NONE: CaseGenerator = CaseGenerator { reduction: Reduction::None, upstream: true, ..PLAIN };
const HALF: CaseGenerator = CaseGenerator { half: true, resident: true, ..PLAIN };
const LABELS: CaseGenerator = CaseGenerator { ignored: 0.25, ..PLAIN };
const DENSE: CaseGenerator = CaseGenerator { labels: false, ..PLAIN };

/// Pointwise: those also run with each non-default set of options come first.
const POINTWISE_SHORT: &[CaseGenerator] = &[
    CaseGenerator { shape: &[1], ..PLAIN },
    CaseGenerator { shape: &[257, 65], ..PLAIN },
    CaseGenerator { shape: &[1023], size: Size::Large(300.0), ..PLAIN },
    CaseGenerator { shape: &[1023], size: Size::Large(1e4), ..PLAIN },
    CaseGenerator {
        weight: Granularity::Element,
        mask: Granularity::Element,
        column_weight: true,
        ..NONE
    },
    CaseGenerator {
        shape: &[33, 31],
        size: Size::Special,
        weight: Granularity::Element,
        column_weight: true,
        ..NONE
    },
];

const POINTWISE_LONG: &[CaseGenerator] = &[
    CaseGenerator { reduction: Reduction::Sum, ..PLAIN },
    CaseGenerator { shape: &[3, 4, 5], reduction: Reduction::BatchMean, upstream: true, ..PLAIN },
    CaseGenerator { shape: &[64, 2048], reduction: Reduction::Divisor(1e5), ..PLAIN },
    CaseGenerator { shape: &[5], resident: true, ..PLAIN },
    CaseGenerator { shape: &[129, 513], resident: true, reduction: Reduction::BatchMean, ..PLAIN },
    CaseGenerator { shape: &[33, 31], reduction: Reduction::Sum, ..HALF },
    CaseGenerator { size: Size::Special, ..PLAIN },
    CaseGenerator {
        shape: &[41, 29],
        weight: Granularity::Row,
        reduction: Reduction::WeightedMean,
        ..PLAIN
    },
    CaseGenerator {
        shape: &[3, 4, 5],
        weight: Granularity::Row,
        mask: Granularity::Row,
        reduction: Reduction::Sum,
        ..PLAIN
    },
    CaseGenerator { shape: &[9, 3, 7], mask: Granularity::Row, upstream: true, ..PLAIN },
    CaseGenerator { shape: &[2, 3, 4, 5], ..NONE },
    CaseGenerator { shape: &[19], weight: Granularity::Element, ..NONE },
];

/// Pointwise losses that take column weights.
const POINTWISE_COLUMNS: &[CaseGenerator] = &[
    CaseGenerator { shape: &[21, 6], column_weight: true, ..PLAIN },
    CaseGenerator { shape: &[130, 7], column_weight: true, reduction: Reduction::Sum, ..PLAIN },
];

/// Rows with labels, for every set of options.
const LABELS_SHORT: &[CaseGenerator] = &[
    CaseGenerator { shape: &[1, 1], ignored: 0.0, ..LABELS },
    CaseGenerator { shape: &[300, 10], ..LABELS },
    CaseGenerator { shape: &[64, 31], size: Size::Large(300.0), ..LABELS },
    CaseGenerator { shape: &[70, 64], ..LABELS },
    CaseGenerator { shape: &[17, 131], size: Size::Large(300.0), ..LABELS },
    CaseGenerator { shape: &[9, 33], size: Size::Large(1e4), ..LABELS },
];

/// Rows with dense targets, for every set of options.
const DENSE_SHORT: &[CaseGenerator] = &[
    CaseGenerator {
        shape: &[45, 10],
        column_weight: true,
        class_mask: Granularity::Element,
        weight: Granularity::Row,
        ..DENSE
    },
    CaseGenerator {
        shape: &[13, 131],
        column_weight: true,
        class_mask: Granularity::Element,
        weight: Granularity::Row,
        ..DENSE
    },
    CaseGenerator {
        shape: &[37, 2],
        column_weight: true,
        class_mask: Granularity::Element,
        weight: Granularity::Row,
        ..DENSE
    },
];

const LABELS_LONG: &[CaseGenerator] = &[
    CaseGenerator { shape: &[33, 1], reduction: Reduction::Sum, ..LABELS },
    CaseGenerator { shape: &[2, 3, 4], reduction: Reduction::BatchMean, upstream: true, ..LABELS },
    CaseGenerator { shape: &[50, 10], ignored: 1.0, ..LABELS },
    CaseGenerator { shape: &[3, 64], ignored: 1.0, ..LABELS },
    CaseGenerator { shape: &[300, 1031], reduction: Reduction::Divisor(77.0), ..LABELS },
    CaseGenerator { shape: &[5, 4099], ..LABELS },
    // Unreduced, with every input.
    CaseGenerator {
        shape: &[60, 10],
        weight: Granularity::Row,
        mask: Granularity::Row,
        column_weight: true,
        class_mask: Granularity::Column,
        auxiliary: true,
        ignored: 0.2,
        ..NONE
    },
    CaseGenerator {
        shape: &[31, 67],
        weight: Granularity::Row,
        mask: Granularity::Row,
        column_weight: true,
        class_mask: Granularity::Column,
        auxiliary: true,
        ignored: 0.2,
        ..NONE
    },
    // Weights alone, to cover each divisor.
    CaseGenerator { shape: &[50, 10], column_weight: true, ..LABELS },
    CaseGenerator { shape: &[50, 100], column_weight: true, ..LABELS },
    CaseGenerator {
        shape: &[50, 100],
        column_weight: true,
        reduction: Reduction::WeightedMean,
        ..LABELS
    },
    CaseGenerator {
        shape: &[40, 9],
        weight: Granularity::Row,
        reduction: Reduction::WeightedMean,
        ..LABELS
    },
    CaseGenerator {
        shape: &[40, 90],
        weight: Granularity::Row,
        reduction: Reduction::WeightedMean,
        ..LABELS
    },
    CaseGenerator { shape: &[40, 90], mask: Granularity::Row, ..LABELS },
    CaseGenerator { shape: &[30, 12], size: Size::Special, ..NONE },
    CaseGenerator { shape: &[30, 120], size: Size::Special, ..NONE },
    CaseGenerator { shape: &[300, 10], resident: true, ..LABELS },
    CaseGenerator { shape: &[20, 33], resident: true, ..LABELS },
    CaseGenerator { shape: &[20, 33], resident: true, ignored: 1.0, ..LABELS },
    CaseGenerator { shape: &[20, 33], resident: true, reduction: Reduction::Sum, ..LABELS },
    CaseGenerator { shape: &[37, 67], ignored: 0.25, ..HALF },
];

const DENSE_LONG: &[CaseGenerator] = &[
    CaseGenerator { shape: &[1, 1], ..DENSE },
    CaseGenerator { shape: &[2, 3, 31], reduction: Reduction::Sum, upstream: true, ..DENSE },
    CaseGenerator {
        shape: &[40, 20],
        size: Size::Large(300.0),
        reduction: Reduction::BatchMean,
        ..DENSE
    },
    CaseGenerator { shape: &[300, 64], ..DENSE },
    CaseGenerator { shape: &[12, 131], size: Size::Large(300.0), ..DENSE },
    CaseGenerator { shape: &[6, 1031], reduction: Reduction::Sum, ..DENSE },
    CaseGenerator { shape: &[3, 4099], reduction: Reduction::Divisor(3.0), ..DENSE },
    CaseGenerator { shape: &[20, 10], resident: true, ..DENSE },
    CaseGenerator { shape: &[20, 100], resident: true, reduction: Reduction::BatchMean, ..DENSE },
    CaseGenerator { shape: &[36, 13], labels: false, reduction: Reduction::Sum, ..HALF },
    CaseGenerator { shape: &[11, 68], labels: false, ..HALF },
    CaseGenerator { shape: &[30, 12], size: Size::Special, labels: false, ..NONE },
    CaseGenerator { shape: &[30, 120], size: Size::Special, labels: false, ..NONE },
    CaseGenerator {
        shape: &[25, 11],
        mask: Granularity::Row,
        reduction: Reduction::WeightedMean,
        ..DENSE
    },
    CaseGenerator {
        shape: &[25, 110],
        mask: Granularity::Row,
        weight: Granularity::Row,
        reduction: Reduction::WeightedMean,
        ..DENSE
    },
];

/// Properties of a loss that select its case generators.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub rowwise: bool,
    pub takes_labels: bool,
    pub takes_dense: bool,
    pub takes_half: bool,
    pub has_auxiliary: bool,
    /// True if it takes `pos_weight` or `class_weight`.
    pub column_weight: bool,
    pub class_mask: bool,
    /// True for default options: adds the long lists.
    pub thorough: bool,
}

impl Kind {
    /// The properties of a loss.
    pub fn of(loss: &dyn LossDefinition, thorough: bool) -> Self {
        Kind {
            rowwise: !loss.is_pointwise(),
            takes_labels: loss.targets().takes_labels(),
            takes_dense: loss.targets().takes_dense(),
            takes_half: matches!(
                loss.template(),
                Template::OneInput(OneInput::Pointwise(_))
                    | Template::OneInput(OneInput::Rowwise(_))
            ),
            has_auxiliary: loss.spec().auxiliary,
            column_weight: column_weight_name(loss).is_some(),
            class_mask: loss.inputs().iter().any(|input| input.name == "class_mask"),
            thorough,
        }
    }
}

/// The case generators of a loss, without unsupported inputs.
pub(super) fn case_generators(kind: Kind) -> Vec<CaseGenerator> {
    let lists: &[(&[CaseGenerator], bool)] = &[
        (POINTWISE_SHORT, !kind.rowwise),
        (POINTWISE_LONG, !kind.rowwise && kind.thorough),
        (POINTWISE_COLUMNS, !kind.rowwise && kind.column_weight),
        (LABELS_SHORT, kind.rowwise && kind.takes_labels),
        (LABELS_LONG, kind.rowwise && kind.takes_labels && kind.thorough),
        (DENSE_SHORT, kind.rowwise && kind.takes_dense),
        (DENSE_LONG, kind.rowwise && kind.takes_dense && kind.thorough),
    ];
    let chosen = lists.iter().filter(|(_, fits)| *fits).flat_map(|(list, _)| list.iter());
    let chosen = chosen.filter(|case_generator| kind.takes_half || !case_generator.half);
    chosen
        .map(|&case_generator| CaseGenerator {
            column_weight: case_generator.column_weight && kind.column_weight,
            class_mask: if kind.class_mask { case_generator.class_mask } else { Granularity::None },
            auxiliary: case_generator.auxiliary && kind.has_auxiliary,
            ..case_generator
        })
        .collect()
}

/// Name of the input for column weights.
pub(super) fn column_weight_name(loss: &dyn LossDefinition) -> Option<&'static str> {
    let is_positive = |name: &&str| *name == "pos_weight";
    of_columns(loss.inputs())
        .or_else(|| loss.inputs().iter().map(|input| input.name).find(is_positive))
}
