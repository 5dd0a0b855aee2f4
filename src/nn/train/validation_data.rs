//! Validation rows that the training options own.

use ndarray::{ArrayBase, Data, Dimension};

use crate::criterion::inputs::Floats;
use crate::nn::train::features::{FeatureArray, FeatureElement};

/// Owned features of the validation rows.
#[derive(Clone, Debug)]
pub(crate) enum OwnedFeatures {
    Narrow(ndarray::ArrayD<f32>),
    Wide(ndarray::ArrayD<f64>),
    Pixels(ndarray::ArrayD<u8>),
}

impl OwnedFeatures {
    pub fn of<S: Data<Elem: FeatureElement>, D: Dimension>(array: &ArrayBase<S, D>) -> Self {
        match FeatureElement::features(array) {
            FeatureArray::Floats(Floats::Narrow(array)) => OwnedFeatures::Narrow(array.to_owned()),
            FeatureArray::Floats(Floats::Wide(array)) => OwnedFeatures::Wide(array.to_owned()),
            FeatureArray::Pixels(array) => OwnedFeatures::Pixels(array.to_owned()),
        }
    }

    /// The features in their original type.
    pub fn features(&self) -> FeatureArray<'_> {
        match self {
            OwnedFeatures::Narrow(array) => Floats::Narrow(array.view()).into(),
            OwnedFeatures::Wide(array) => Floats::Wide(array.view()).into(),
            OwnedFeatures::Pixels(array) => FeatureArray::Pixels(array.view()),
        }
    }
}

/// Owned targets of the validation rows.
#[derive(Clone, Debug)]
pub(crate) enum ValidationTargets {
    Dense(ndarray::ArrayD<f32>),
    Wide(ndarray::ArrayD<f64>),
    Labels(ndarray::ArrayD<i64>),
    Grouped(ndarray::ArrayD<f32>, Vec<usize>),
}

impl ValidationTargets {
    /// The targets in their original type.
    pub fn targets(&self) -> crate::Targets<'_> {
        match self {
            ValidationTargets::Dense(dense) => dense.into(),
            ValidationTargets::Wide(dense) => dense.into(),
            ValidationTargets::Labels(labels) => labels.into(),
            ValidationTargets::Grouped(relevance, groups) => {
                crate::Targets::grouped(relevance, groups)
            }
        }
    }
}
