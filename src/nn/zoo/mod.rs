//! Networks of the literature, built of the public layers.
//!
//! Parameters have the names of the usual PyTorch implementations (torchvision, nanoGPT, Hugging
//! Face), so that [`Model::load_weights`](crate::Model::load_weights) takes their files.
//!
//! | network | function | parameters | source |
//! |---|---|---|---|
//! | LeNet-5 with relu and max pooling | [`lenet5`] | 61,706 for 28 × 28 × 1 and 10 classes | Y. LeCun et al. (1998) |
//! | small CNN, 32 and 64 filters, 128 units | [`small_cnn`] | 421,642 for 28 × 28 × 1 and 10 classes | |
//! | VGG-11 with batch norm | [`Vgg11`] | 28.1 million for 32 × 32 × 3, 9.2 million of them convolutions | K. Simonyan, A. Zisserman (2014) |
//! | ResNet-8, -20, … for small images | [`resnet`] | 77,754 and 272,186 for 28 × 28 × 1 | K. He et al. (2015), section 4.2 |
//! | ResNet-18 | [`resnet18`] | 11.7 million for 1,000 classes | K. He et al. (2015) |
//! | GPT | [`Gpt`] | 804,096 in small | A. Radford et al. (2019); A. Karpathy, nanoGPT |
//! | BERT's encoder | [`Bert`] | 22.6 million as all-MiniLM-L6-v2 | J. Devlin et al. (2018) |

mod bert;
mod gpt;
mod lenet;
mod resnet;
mod vgg;

pub use bert::Bert;
pub use gpt::Gpt;
pub use lenet::{lenet5, small_cnn};
pub use resnet::{resnet, resnet18};
pub use vgg::Vgg11;
