//! Features of rows: numbers, or pixels of one byte, which stay bytes until a batch is gathered.

use std::borrow::Cow;

use ndarray::{ArrayBase, ArrayViewD, Data, Dimension};

use crate::criterion::inputs::{FloatElement, Floats};
use crate::data::Fingerprint;

/// The element types of features: f32, f64, which is rounded to f32, and u8 for pixels.
///
/// A pixel p is the number p / 255, as from IDX files; for a model of ids it is the id. It takes one
/// byte in the training data on a device, and becomes a number when the batch is gathered, with the
/// same bits as if all were divided first. An input scaling
/// ([`Model::set_input_scaling`](crate::Model::set_input_scaling)) keeps it so if its mean and scale
/// are the same for all features; else pixels are stored as numbers, and so they are for small
/// networks of dense layers on a GPU, which one kernel trains.
pub trait FeatureElement: Copy {
    /// The array as numbers or pixels.
    fn features<S: Data<Elem = Self>, D: Dimension>(array: &ArrayBase<S, D>) -> FeatureArray<'_>;
}

impl<T: FloatElement> FeatureElement for T {
    fn features<S: Data<Elem = Self>, D: Dimension>(array: &ArrayBase<S, D>) -> FeatureArray<'_> {
        FeatureArray::Floats(T::floats(array))
    }
}

impl FeatureElement for u8 {
    fn features<S: Data<Elem = Self>, D: Dimension>(array: &ArrayBase<S, D>) -> FeatureArray<'_> {
        FeatureArray::Pixels(array.view().into_dyn())
    }
}

/// Features as they are handed over: [`FeatureElement`].
#[derive(Clone, Debug)]
pub enum FeatureArray<'a> {
    /// Numbers, used as they are.
    Floats(Floats<'a>),
    /// Pixels from 0 to 255.
    Pixels(ArrayViewD<'a, u8>),
}

impl<'a> From<Floats<'a>> for FeatureArray<'a> {
    fn from(floats: Floats<'a>) -> Self {
        FeatureArray::Floats(floats)
    }
}

impl FeatureArray<'_> {
    /// The array's shape.
    pub fn shape(&self) -> &[usize] {
        match self {
            FeatureArray::Floats(floats) => floats.shape(),
            FeatureArray::Pixels(pixels) => pixels.shape(),
        }
    }
}

/// The number of each pixel.
pub(crate) type Palette = [f32; 256];

/// Checked and scaled features of all rows, flat.
#[derive(Debug)]
pub(crate) enum Flat<'a> {
    Numbers(Cow<'a, [f32]>),
    Pixels(Cow<'a, [u8]>, Box<Palette>),
}

impl Flat<'_> {
    /// All features.
    pub fn all(&self) -> FlatView<'_> {
        match self {
            Flat::Numbers(numbers) => FlatView::Numbers(numbers),
            Flat::Pixels(pixels, palette) => FlatView::Pixels(pixels, palette),
        }
    }
}

/// Features of some rows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FlatView<'a> {
    Numbers(&'a [f32]),
    Pixels(&'a [u8], &'a Palette),
}

impl<'a> FlatView<'a> {
    /// A range of the features.
    pub fn range(self, range: std::ops::Range<usize>) -> Self {
        match self {
            FlatView::Numbers(numbers) => FlatView::Numbers(&numbers[range]),
            FlatView::Pixels(pixels, palette) => FlatView::Pixels(&pixels[range], palette),
        }
    }

    /// The numbers.
    pub fn numbers(self) -> Cow<'a, [f32]> {
        match self {
            FlatView::Numbers(numbers) => Cow::Borrowed(numbers),
            FlatView::Pixels(pixels, palette) => {
                pixels.iter().map(|&pixel| palette[usize::from(pixel)]).collect()
            }
        }
    }

    /// The numbers, or all that pixels may be.
    pub fn values(self) -> &'a [f32] {
        match self {
            FlatView::Numbers(numbers) => numbers,
            FlatView::Pixels(_, palette) => palette,
        }
    }

    /// Adds the numbers: a training may go on with pixels as numbers, and with numbers as pixels.
    pub fn add_to(self, rows: &mut Fingerprint) {
        match self {
            FlatView::Numbers(numbers) => rows.add_all(numbers),
            FlatView::Pixels(pixels, palette) => {
                rows.add_each(pixels.iter().map(|&pixel| palette[usize::from(pixel)]));
            }
        }
    }
}
