//! Common imports and helpers of the loss files.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, catalogue};

pub(super) use crate::Result;
pub(super) use crate::catalogue::{Entry, Options, options};
pub(super) use crate::cpu::real::Real;
pub(super) use crate::losses::inputs::{
    CLASS_MASK, CLASS_PRIOR, CLASS_WEIGHT, EXPECTED_COUNT, ITEM_WEIGHT, LABELLED_EMBEDDINGS,
    MOST_IGNORED, NOISE, POS_WEIGHT, REFERENCES,
};
pub(super) use crate::templates::argument::{Argument, Domain, Input, Role};
pub(super) use crate::templates::boxes::{BoxLoss, BoxPair, BoxTerms};
pub(super) use crate::templates::definition::{
    HessianDiagonal, ItemWeight, LossDefinition, Mean, Spec, TargetDerivative,
};
pub(super) use crate::templates::distance::{Distance, DistanceTerms};
pub(super) use crate::templates::pointwise::{Pointwise, PointwiseHessian, PointwiseTarget};
pub(super) use crate::templates::policy::{Aggregation, PolicyGradient, PolicyRule};
pub(super) use crate::templates::preference::{Preference, PreferenceTerms};
pub(super) use crate::templates::proxies::Proxies;
pub(super) use crate::templates::rowwise::Rowwise;
pub(super) use crate::templates::sequence::Sequence;
pub(super) use crate::templates::similarity::{
    Candidate, DivisorRule, PoolOutcome, Similarity, Term,
};
pub(super) use crate::templates::two_input::{TwoInput, TwoInputTerms};

/// The methods common to all losses of the catalogue: entry, options as JSON, and their check. A
/// loss with its own check omits the last.
macro_rules! catalogued {
    (entry, options) => {
        fn entry(&self) -> &'static Entry<dyn LossDefinition> {
            &ENTRY
        }

        fn options(&self) -> serde_json::Value {
            $crate::catalogue::write(self)
        }
    };
    (entry, options, check) => {
        catalogued!(entry, options);

        fn check(&self) -> Result<()> {
            Options::check_domains(self)
        }
    };
}
pub(super) use catalogued;

/// Creates a loss from JSON options: the `make` of its entry.
pub(super) fn make<T>(options: &Value) -> Result<Box<dyn LossDefinition>>
where
    T: LossDefinition + Default + Serialize + DeserializeOwned + 'static,
{
    let entry = T::default().entry();
    Ok(Box::new(catalogue::read::<T>(entry.name, entry.options, options)?))
}

/// Deserializes one label or a list of labels.
pub(super) fn one_or_several<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrSeveral {
        One(i64),
        Several(Vec<i64>),
    }
    Ok(match OneOrSeveral::deserialize(deserializer)? {
        OneOrSeveral::One(label) => vec![label],
        OneOrSeveral::Several(labels) => labels,
    })
}

/// Rejects an option unless `holds` is true; written so that NaN is rejected.
pub(crate) fn require(
    holds: bool,
    owner: &Entry<dyn LossDefinition>,
    name: &str,
    found: f64,
) -> Result<()> {
    if holds {
        return Ok(());
    }
    let choice = owner.options.iter().find(|choice| choice.name == name);
    Err(Error::option(
        owner.name,
        name,
        found,
        choice.map_or("in its domain", |choice| choice.domain),
    ))
}
