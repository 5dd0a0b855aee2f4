//! LeNet-5, and a small convolutional network of two layers.

use crate::activations::Relu;
use crate::layers::{Conv2d, Flatten, MaxPool2d};
use crate::{Dense, Sequential};

/// LeNet-5 with relu and max pooling, as it is taught today: 6 and 16 filters of 5 × 5, then 120 and
/// 84 units. `image` is [height, width, channels]; 28 × 28 or 32 × 32 for the most part.
///
/// ```
/// let model = gradus::zoo::lenet5([28, 28, 1], 10).on(&gradus::Device::cpu())?;
/// assert_eq!(model.parameters(), 61_706);
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn lenet5(image: [usize; 3], classes: usize) -> Sequential {
    let padding = if image[0] < 32 { 2 } else { 0 };
    Sequential::images(image)
        .named("conv1", Conv2d::new(6, 5).padding(padding).activation(Relu))
        .named("pool1", MaxPool2d::new(2))
        .named("conv2", Conv2d::new(16, 5).activation(Relu))
        .named("pool2", MaxPool2d::new(2))
        .named("flatten", Flatten::new())
        .named("fc1", Dense::new(120).activation(Relu))
        .named("fc2", Dense::new(84).activation(Relu))
        .named("fc3", Dense::new(classes))
}

/// Two convolutions of 32 and 64 filters of 3 × 3, each with relu and max pooling, then 128 units.
///
/// ```
/// let model = gradus::zoo::small_cnn([28, 28, 1], 10).on(&gradus::Device::cpu())?;
/// assert_eq!(model.parameters(), 421_642);
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn small_cnn(image: [usize; 3], classes: usize) -> Sequential {
    Sequential::images(image)
        .named("conv1", Conv2d::new(32, 3).padding(1).activation(Relu))
        .named("pool1", MaxPool2d::new(2))
        .named("conv2", Conv2d::new(64, 3).padding(1).activation(Relu))
        .named("pool2", MaxPool2d::new(2))
        .named("flatten", Flatten::new())
        .named("fc1", Dense::new(128).activation(Relu))
        .named("fc2", Dense::new(classes))
}
