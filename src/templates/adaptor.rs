//! The functions that each kernel template requires from a loss, and the adaptor that supplies
//! them.

use crate::runtime::adaptor::{Setting, adaptor_of_members, function};
use crate::templates::definition::{LossDefinition, OneInput, SeveralInputs, Template};
use crate::templates::job::Written;

/// Names that `templates/rowwise/rowwise.wgsl` requires from a loss.
const ROWWISE: &[&str] = &[
    "struct Sums",
    "struct Outcome",
    "fn empty_sums() -> Sums",
    "fn fold(sums: Sums, cells: Cells) -> Sums",
    "fn join(sums: Sums) -> Sums",
    "fn finish(row: Row, sums: Sums) -> Outcome",
    "fn gradient(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32>",
    AUXILIARY,
];
const AUXILIARY: &str = "fn auxiliary(place: u32, row: Row, outcome: Outcome)";
const ROWWISE_HESSIAN: &str =
    "fn hessian_diagonal(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32>";
const ROWWISE_TARGET: &str =
    "fn target_derivative(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32>";

/// Names that a softmax may define: its maximum first.
const ROWWISE_PEAKS_FIRST: &[&str] = &[
    "struct Below",
    "fn fold_peak(sums: Sums, cells: Cells) -> Sums",
    "fn join_peaks(sums: Sums) -> Sums",
    "fn fold_below(sums: Sums, cells: Cells) -> Below",
    "fn scaled_outcome(outcome: Outcome, scale: f32) -> Outcome",
    "fn gradient_of_exponentials(outcome: Outcome, cells: Cells) -> vec4<f32>",
];

/// Names that `templates/listwise/*.wgsl` require.
const LISTWISE: &[&str] = &[
    "fn uses_statistics() -> bool",
    "fn initial_statistics() -> vec3<f32>",
    "fn update_statistics(statistics: vec3<f32>, item: Item, other: Item) -> vec3<f32>",
    "fn record(item: Item, statistics: vec3<f32>) -> Item",
    "fn normalizer_term(item: Item) -> f32",
    "fn scale(total: f32) -> f32",
    "fn item_terms(item: Item) -> vec2<f32>",
    "fn pair_terms(item: Item, other: Item) -> vec2<f32>",
];

const TWO_INPUT: &[&str] = &["fn loss(first: f32, second: f32, truth: f32) -> TwoInputTerms"];

const PREFERENCE: &[&str] = &["fn loss(x: vec4<f32>) -> PreferenceTerms"];

const BOXES: &[&str] = &["fn loss(pair: BoxPair) -> BoxTerms", "override EPSILON: f32"];
const POLICY: &[&str] = &["fn token(log_prob: f32, log_ratio: f32, advantage: f32) -> vec2<f32>"];

const SURVIVAL: &[&str] = &["fn tied_share(rank: f32, ties: f32) -> f32"];

const COVARIANCE: &[&str] = &[
    "fn entry(covariance: f32, is_diagonal: bool, columns: f32) -> vec2<f32>",
    "fn deviation(deviation: f32, columns: f32) -> vec2<f32>",
    "fn apart(difference: f32, elements: f32) -> vec2<f32>",
];

const DISTANCE: &[&str] = &[
    "fn is_scaled() -> bool",
    "fn leaves_range(sums: vec3<f32>) -> bool",
    "fn peaks(cells: Cells, kept: vec4<bool>) -> vec3<f32>",
    "fn fold(peaks: vec3<f32>, cells: Cells) -> Sums",
    "fn finish(peaks: vec3<f32>, sums: vec3<f32>, truth: f32) -> Outcome",
    "fn gradients(outcome: Outcome, peaks: vec3<f32>, cells: Cells) -> Cells",
];

const SIMILARITY: &[&str] = &[
    "override STAGED: bool",
    "fn term(candidate: Candidate) -> Term",
    "fn extra(candidate: Candidate, lse: vec2<f32>) -> vec2<f32>",
    "fn finish(lse: vec2<f32>, extras: vec2<f32>, positives: f32) -> Outcome",
    "fn extra_gradient(candidate: Candidate, outcome: Outcome) -> f32",
];

/// Names that `templates/regions/region_gradients.wgsl` requires.
const REGIONS: &[&str] =
    &["fn weight(total: f32) -> f32", "fn finish(found: f32, apart: f32) -> vec3<f32>"];

/// Names that `templates/proxies/proxies.wgsl` requires.
const PROXIES: &[&str] = &[
    "override BY_PROXY: bool",
    "fn exponent(score: f32, positive: bool) -> vec2<f32>",
    "fn finish(lse: vec2<f32>, share: f32) -> vec3<f32>",
];

/// Names that `templates/similarity/triplets.wgsl` requires.
const TRIPLETS: &[&str] =
    &["fn distance(score: f32) -> f32", "override MARGIN: f32", "override SEMI_HARD: bool"];

/// Names required by the files that several losses share (`Spec::helpers`).
const HELPERS: &[(&str, &[&str])] = &[
    (
        "templates/rowwise/softmax_target.wgsl",
        &["fn loss(statistics: SoftmaxStatistics) -> ValueWithPartials"],
    ),
    (
        "templates/rowwise/softmax_shifted.wgsl",
        &[
            "override SCALE: f32",
            "override USES_LEAST: bool",
            "fn shift(numbers: vec4<f32>) -> vec4<f32>",
            "fn label_shift(number: f32, least: f32) -> f32",
        ],
    ),
    (
        "templates/rowwise/list_softmax.wgsl",
        &["override VIRTUAL_ITEM: bool", "override VIRTUAL_LABEL: f32"],
    ),
    ("templates/rowwise/entmax_fold.wgsl", &["override ALPHA: f32"]),
    ("templates/rowwise/distillation_kl.wgsl", &[AUXILIARY]),
    (
        "templates/policy/clipped_ratio.wgsl",
        &["override LOW: f32", "override HIGH: f32", "override DELTA: f32"],
    ),
    ("templates/rowwise/distillation_jsd.wgsl", &[AUXILIARY]),
    (
        "templates/listwise/pairwise.wgsl",
        &[
            "fn pair(d: f32) -> vec2<f32>",
            "override TEMPERATURE: f32",
            "override LAMBDA: u32",
            "override TOP_N: u32",
            "override GAIN: u32",
            "override DISCOUNT: u32",
            "override RELATIVE: f32",
            "override NORMALIZED: bool",
        ],
    ),
];

/// The template's names that a loss defines.
pub(crate) fn interface(loss: &dyn LossDefinition) -> &'static [&'static str] {
    let helper = loss.spec().helpers.first();
    if let Some((_, interface)) =
        HELPERS.iter().find(|(name, _)| helper.is_some_and(|file| file.name == *name))
    {
        return interface;
    }
    match loss.template() {
        Template::OneInput(OneInput::Rowwise(_)) => ROWWISE,
        Template::OneInput(OneInput::Listwise(_)) => LISTWISE,
        Template::Several(SeveralInputs::TwoInput, _) => TWO_INPUT,
        Template::Several(SeveralInputs::Preference, _) => PREFERENCE,
        Template::Several(SeveralInputs::Regions, _) => REGIONS,
        Template::Several(SeveralInputs::Boxes, _) => BOXES,
        Template::Several(SeveralInputs::Policy(_), _) => POLICY,
        Template::Several(SeveralInputs::Survival, _) => SURVIVAL,
        Template::Several(SeveralInputs::Covariance(_), _) => COVARIANCE,
        Template::Several(SeveralInputs::Proxies { .. }, _) => PROXIES,
        Template::Several(SeveralInputs::Distance, _) => DISTANCE,
        Template::Several(SeveralInputs::Similarity(comparison), _) if comparison.is_mined => {
            TRIPLETS
        }
        Template::Several(SeveralInputs::Similarity(_), _) => SIMILARITY,
        // The function of a pointwise loss is called with or without the column weight: see
        // `pointwise`. Losses of sequences have a lattice kernel of their own. Losses fused with a
        // linear layer, and losses of completions, run the kernels of their inner loss.
        Template::OneInput(OneInput::Pointwise(_))
        | Template::Several(
            SeveralInputs::Sequence { .. }
            | SeveralInputs::Transducer { .. }
            | SeveralInputs::Linear
            | SeveralInputs::Completions { .. },
            _,
        ) => &[],
    }
}

/// True if the function of a pointwise loss takes the weight of the element's column.
fn takes_column_weight(loss: &dyn LossDefinition) -> bool {
    loss.inputs().iter().any(|input| input.name == "pos_weight")
}

/// The adaptor between a loss and its template, for the derivatives that are written.
pub(crate) fn adaptor(loss: &dyn LossDefinition, written: Written) -> String {
    adaptor_with(loss, written, &[])
}

/// As [`adaptor`], for members whose options differ.
pub(crate) fn adaptor_with(
    loss: &dyn LossDefinition,
    written: Written,
    settings: &[(&'static str, Setting)],
) -> String {
    let text = adaptor_of_members(&loss.entry().shader, interface(loss), settings);
    match loss.template() {
        Template::OneInput(OneInput::Pointwise(_)) => text + &pointwise(loss, written),
        Template::OneInput(OneInput::Rowwise(_)) => text + &rowwise(loss, written),
        _ => text,
    }
}

fn pointwise(loss: &dyn LossDefinition, written: Written) -> String {
    let name = |name| function(&loss.entry().shader, name);
    let weight = if takes_column_weight(loss) { ", column_weight" } else { "" };
    let of = |function| format!("{}(prediction, truth, column_weight)", name(function));
    let written = match written {
        Written::Gradient => "point.derivative".into(),
        Written::HessianDiagonal => of("hessian_diagonal"),
        Written::TargetGradient => of("target_derivative"),
    };
    format!(
        "fn element_loss(prediction: f32, truth: f32, column_weight: f32) -> Loss {{ return {}(prediction, truth{weight}); }}\n\
         fn element_gradient(point: Loss, prediction: f32, truth: f32, column_weight: f32) -> f32 {{ return {written}; }}\n",
        name("loss"),
    )
}

fn rowwise(loss: &dyn LossDefinition, written: Written) -> String {
    let hessian = written == Written::HessianDiagonal;
    let (function, interface) = match written {
        Written::Gradient => ("gradient", None),
        Written::HessianDiagonal => ("hessian_diagonal", Some(ROWWISE_HESSIAN)),
        Written::TargetGradient => ("target_derivative", Some(ROWWISE_TARGET)),
    };
    let mut text = interface.map_or_else(String::new, |interface| {
        adaptor_of_members(&loss.entry().shader, &[interface], &[])
    });
    text += &format!(
        "const HESSIAN_DIAGONAL: bool = {hessian};\n\
         fn written_gradient(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32> {{ return {function}(row, outcome, cells); }}\n"
    );
    if loss.spec().peaks_first {
        text += &adaptor_of_members(&loss.entry().shader, ROWWISE_PEAKS_FIRST, &[]);
    } else {
        // Never called, as PEAKS_FIRST is false, but the template refers to them.
        text += "struct Below { sums: Sums, exponentials: vec4<f32> }\n\
                 fn fold_peak(sums: Sums, cells: Cells) -> Sums { return sums; }\n\
                 fn join_peaks(sums: Sums) -> Sums { return sums; }\n\
                 fn fold_below(sums: Sums, cells: Cells) -> Below { return Below(sums, cells.logits); }\n\
                 fn scaled_outcome(outcome: Outcome, scale: f32) -> Outcome { return outcome; }\n\
                 fn gradient_of_exponentials(outcome: Outcome, cells: Cells) -> vec4<f32> { return cells.logits; }\n";
    }
    if loss.spec().passes == 1 {
        // Never called with a single pass, but the template refers to it.
        text += "fn restart(sums: Sums) -> Sums { return sums; }\n";
    } else if loss.spec().helpers.is_empty() {
        let interface = &["fn restart(sums: Sums) -> Sums"];
        text += &adaptor_of_members(&loss.entry().shader, interface, &[]);
    }
    text
}
