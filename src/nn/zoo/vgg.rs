//! VGG-11 with batch norm.

use crate::activations::Relu;
use crate::layers::{BatchNorm, Conv2d, Dropout, Flatten, Initializer, MaxPool2d};
use crate::{Dense, Sequential};

/// VGG-11 with batch norm, with torchvision's names: eight convolutions, hidden dense layers, an
/// output per class. Images of 32 × 32 × 3 and 10 classes make 28,149,514 parameters, and 9,231,114
/// without hidden layers.
///
/// Source: K. Simonyan, A. Zisserman, *Very deep convolutional networks for large-scale image
/// recognition* (2014), configuration A.
///
/// ```
/// use gradus::{Device, zoo::Vgg11};
/// let model = Vgg11::new().filters(8).hidden(&[32]).build([32, 32, 3], 10);
/// assert_eq!(model.on(&Device::cpu())?.parameters(), 147_658);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Vgg11 {
    filters: usize,
    hidden: Vec<usize>,
    dropout: f64,
}

impl Default for Vgg11 {
    fn default() -> Self {
        Vgg11::new()
    }
}

impl Vgg11 {
    /// 64 to 512 filters, two hidden layers of 4096 units, no dropout.
    pub fn new() -> Self {
        Vgg11 { filters: 64, hidden: vec![4096, 4096], dropout: 0.0 }
    }

    /// Filters of the first convolution (default 64); the last ones have eight times as many.
    pub fn filters(mut self, filters: usize) -> Self {
        self.filters = filters;
        self
    }

    /// Units of the hidden dense layers (default 4096 twice).
    pub fn hidden(mut self, units: &[usize]) -> Self {
        self.hidden = units.into();
        self
    }

    /// Dropout behind each hidden dense layer (default 0: none).
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = rate;
        self
    }

    /// The network for images [height, width, channels]; five poolings halve them.
    pub fn build(&self, image: [usize; 3], classes: usize) -> Sequential {
        let n = self.filters;
        // 0 stands for max pooling.
        let plan = [n, 0, 2 * n, 0, 4 * n, 4 * n, 0, 8 * n, 8 * n, 0, 8 * n, 8 * n, 0];
        let (mut features, mut index) = (Sequential::block(), 0);
        for filters in plan {
            if filters == 0 {
                features = features.named(&index.to_string(), MaxPool2d::new(2));
                index += 1;
                continue;
            }
            let convolution = Conv2d::new(filters, 3).padding(1).initializer(Initializer::HeNormal);
            features = features
                .named(&index.to_string(), convolution)
                .named(&(index + 1).to_string(), BatchNorm::new().activation(Relu));
            // torchvision counts the activation.
            index += 3;
        }
        let (mut classifier, mut index) = (Sequential::block(), 0);
        for &units in &self.hidden {
            let dense = Dense::new(units).activation(Relu).initializer(Initializer::HeUniform);
            classifier = classifier.named(&index.to_string(), dense);
            index += 2;
            if self.dropout > 0.0 {
                classifier = classifier.named(&index.to_string(), Dropout::new(self.dropout));
                index += 1;
            }
        }
        classifier = classifier.named(&index.to_string(), Dense::new(classes));
        Sequential::images(image)
            .named("features", features)
            .named("flatten", Flatten::new())
            .named("classifier", classifier)
    }
}
