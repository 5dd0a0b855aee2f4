//! Residual networks.

use crate::activations::Relu;
use crate::layers::{BatchNorm, Conv2d, GlobalAvgPool2d, Initializer, MaxPool2d, Residual};
use crate::{Dense, Sequential};

/// A convolution without a bias, for batch norm behind it.
fn convolution(filters: usize, kernel: usize, stride: usize) -> Conv2d {
    Conv2d::new(filters, kernel)
        .stride(stride)
        .padding(kernel / 2)
        .bias(false)
        .initializer(Initializer::HeNormal)
}

/// Two 3 × 3 convolutions, with a 1 × 1 projection of the input where the shape changes.
fn block(inputs: usize, filters: usize, stride: usize) -> Residual {
    let inner = Sequential::block()
        .named("conv1", convolution(filters, 3, stride))
        .named("bn1", BatchNorm::new().activation(Relu))
        .named("conv2", convolution(filters, 3, 1))
        .named("bn2", BatchNorm::new());
    let residual = Residual::new(inner).activation(Relu);
    if stride == 1 && inputs == filters {
        return residual;
    }
    let projection =
        Sequential::block().then(convolution(filters, 1, stride)).then(BatchNorm::new());
    residual.shortcut("downsample", projection)
}

/// Blocks of one size, of which the first changes it.
fn stage(inputs: usize, filters: usize, stride: usize, blocks: usize) -> Sequential {
    let first = Sequential::block().then(block(inputs, filters, stride));
    (1..blocks).fold(first, |stage, _| stage.then(block(filters, filters, 1)))
}

/// The ResNet for small images (CIFAR, Fashion-MNIST): 16, 32 and 64 filters in three stages of
/// `blocks` blocks: 1 makes ResNet-8, 3 ResNet-20, 9 ResNet-56. Where the shape changes the input is
/// projected by a 1 × 1 convolution with batch norm, as in torchvision; the paper pads with zeros.
///
/// Source: K. He, X. Zhang, S. Ren, J. Sun, *Deep residual learning for image recognition* (2015),
/// section 4.2.
///
/// ```
/// let model = gradus::zoo::resnet(1, [28, 28, 1], 10).on(&gradus::Device::cpu())?;
/// assert_eq!(model.parameters(), 77_754);
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn resnet(blocks: usize, image: [usize; 3], classes: usize) -> Sequential {
    Sequential::images(image)
        .named("conv1", convolution(16, 3, 1))
        .named("bn1", BatchNorm::new().activation(Relu))
        .named("layer1", stage(16, 16, 1, blocks))
        .named("layer2", stage(16, 32, 2, blocks))
        .named("layer3", stage(32, 64, 2, blocks))
        .named("pool", GlobalAvgPool2d::new())
        .named("fc", Dense::new(classes))
}

/// ResNet-18 with torchvision's names; `filters` of the first stage, 64 in the paper.
///
/// Source: K. He, X. Zhang, S. Ren, J. Sun, *Deep residual learning for image recognition* (2015),
/// table 1.
///
/// ```
/// let model = gradus::zoo::resnet18([64, 64, 3], 1000, 64).on(&gradus::Device::cpu())?;
/// assert_eq!(model.parameters(), 11_689_512);
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn resnet18(image: [usize; 3], classes: usize, filters: usize) -> Sequential {
    Sequential::images(image)
        .named("conv1", convolution(filters, 7, 2))
        .named("bn1", BatchNorm::new().activation(Relu))
        .named("maxpool", MaxPool2d::new(3).stride(2).padding(1))
        .named("layer1", stage(filters, filters, 1, 2))
        .named("layer2", stage(filters, 2 * filters, 2, 2))
        .named("layer3", stage(2 * filters, 4 * filters, 2, 2))
        .named("layer4", stage(4 * filters, 8 * filters, 2, 2))
        .named("avgpool", GlobalAvgPool2d::new())
        .named("fc", Dense::new(classes))
}
