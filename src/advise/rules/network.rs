//! Optimizer, layers and length of a training, by the rows.

use serde_json::{Map, Value};

use crate::advise::advice::{NetworkAdvice, OptimizerAdvice};
use crate::advise::task::TaskKind;
use crate::error::text::count;

/// Up to this many rows: units of the hidden layers, rows of a batch.
const SIZES: &[(usize, &[usize], usize)] = &[
    (300, &[16], 16),
    (1_500, &[32], 16),
    (6_000, &[64], 32),
    (60_000, &[128, 64], 64),
    (usize::MAX, &[256, 128], 256),
];

/// Updates that Adam at 0.001 takes to converge on tables; the study of losses behind the rules had
/// 2,350.
const UPDATES: usize = 6_000;

/// The least and the most epochs, whatever the rows.
const EPOCHS: [usize; 2] = [5, 200];

/// Epochs without progress after which a long training stops.
const PATIENCE: usize = 10;

/// Queries of a batch, and hidden units, for lists: as `gradus train` has them.
const QUERIES: usize = 8;

/// Layers and epochs. `units` are queries for lists, else rows.
pub(in crate::advise) fn network(
    kind: TaskKind,
    rows: usize,
    units: usize,
    features: usize,
    outputs: usize,
) -> NetworkAdvice {
    let (_, hidden, batch) =
        SIZES.iter().find(|(most, ..)| rows <= *most).unwrap_or(&SIZES[SIZES.len() - 1]);
    let is_list = kind == TaskKind::Lists;
    let (hidden, batch_size): (Vec<usize>, usize) =
        if is_list { (vec![32], QUERIES) } else { (hidden.to_vec(), *batch) };
    let mut parameters = 0;
    let mut before = features;
    for &after in hidden.iter().chain([&outputs]) {
        parameters += (before + 1) * after;
        before = after;
    }
    let updates = if is_list { UPDATES / 2 } else { UPDATES };
    let epochs = (updates * batch_size / units.max(1)).clamp(EPOCHS[0], EPOCHS[1]);
    let layers: Vec<String> = hidden.iter().map(ToString::to_string).collect();
    let reason = format!(
        "{} rows and {} columns: {} units, {} parameters; {epochs} epochs of batches of {batch_size} are {} updates",
        count(rows as u64),
        count(features as u64),
        layers.join(", "),
        count(parameters as u64),
        count((epochs * units.div_ceil(batch_size)) as u64)
    );
    NetworkAdvice { hidden, parameters, batch_size, epochs, patience: PATIENCE, reason }
}

/// Optimizer and rate: Adam, with decay where a row has to determine more than a parameter.
pub(in crate::advise) fn optimizer(
    kind: TaskKind,
    rows: usize,
    network: &NetworkAdvice,
) -> OptimizerAdvice {
    let needs_decay = network.parameters > rows;
    let (learning_rate, band) = match kind {
        TaskKind::Lists => (2e-3, [5e-4, 5e-3]),
        _ => (1e-3, [3e-4, 3e-3]),
    };
    let mut options = Map::new();
    let mut reason = "an Adam rate within 10 % of the best loss spans a decade and a half; `gradus rates` measures it".to_string();
    if needs_decay {
        options.insert("weight_decay".into(), Value::from(0.02));
        reason = format!(
            "{} parameters for {} rows: weight decay; {reason}",
            count(network.parameters as u64),
            count(rows as u64)
        );
    }
    OptimizerAdvice {
        optimizer: if needs_decay { "adamw" } else { "adam" },
        options,
        learning_rate,
        band,
        reason,
        source: if needs_decay { "Loshchilov, Hutter 2019" } else { "Kingma, Ba 2015" },
    }
}
