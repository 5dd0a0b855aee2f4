//! Random draws for property tests: loss, options, shape and reduction.

use gradus::losses::LossDefinition;
use gradus::{Criterion, Device, Reduction, losses};
use proptest::prelude::*;
use serde_json::Value;

#[derive(Clone, Debug)]
pub struct Draw {
    pub name: &'static str,
    /// 0: defaults, else the index of a variant.
    options: usize,
    pub rows: usize,
    pub columns: usize,
    pub reduction: Reduction,
    pub seed: u64,
}

/// Draws from the losses accepted by `takes`; `below` bounds option set, rows and columns, with at
/// least 1 of each of the latter.
pub fn drawn(
    takes: impl Fn(&dyn LossDefinition) -> bool,
    below: [usize; 3],
) -> impl Strategy<Value = Draw> {
    let names = losses::CATALOGUE.iter().map(|entry| entry.name);
    let taken = |name: &&str| takes(&*losses::from_name(name, &Value::Null).unwrap());
    let names: Vec<&'static str> = names.filter(taken).collect();
    let reduction = prop_oneof![
        Just(Reduction::None),
        Just(Reduction::Sum),
        Just(Reduction::Mean),
        Just(Reduction::BatchMean),
        Just(Reduction::WeightedMean),
        (0.1..100.0).prop_map(Reduction::Divisor),
    ];
    let [options, rows, columns] = below;
    (0..names.len(), 0..options, 1..rows, 1..columns, reduction, any::<u64>()).prop_map(
        move |(loss, options, rows, columns, reduction, seed)| Draw {
            name: names[loss],
            options,
            rows,
            columns,
            reduction,
            seed,
        },
    )
}

impl Draw {
    /// A mean with default options.
    pub fn once(name: &'static str, rows: usize, columns: usize) -> Self {
        Draw { name, options: 0, rows, columns, reduction: Reduction::Mean, seed: 7 }
    }

    pub fn loss(&self) -> Box<dyn LossDefinition> {
        let entry = losses::entry(self.name).unwrap();
        let options = match self.options % (entry.variants.len() + 1) {
            0 => "{}",
            number => entry.variants[number - 1],
        };
        losses::from_name(entry.name, &serde_json::from_str(options).unwrap()).unwrap()
    }

    pub fn criterion(&self, device: &Device) -> Criterion {
        Criterion::from_boxed(self.loss(), device).unwrap().reduction(self.reduction)
    }
}

pub fn config(cases: u32) -> ProptestConfig {
    // No persistence files: a failing case is printed in full.
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}
