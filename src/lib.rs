//! gradus: loss functions with their gradients on any GPU, and the training of dense networks on it.
//!
//! # A loss
//!
//! A loss is made ready on a device once and then called with arrays; it gives value and gradient from one pass:
//!
//! ```
//! use gradus::{Device, Reduction, losses::{Huber, Loss}};
//! use ndarray::array;
//!
//! let criterion = Huber::new().delta(1.0).on(&Device::cpu())?.reduction(Reduction::Sum);
//! let step = criterion.value_and_gradient(&array![0.5, 3.0], &array![0.0, 0.0])?;
//! assert_eq!(step.value(), 2.625); // 0.125 + 2.5
//! assert_eq!(step.gradient.as_slice().unwrap(), [0.5, 1.0]);
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! Weights, masks and whatever else a loss takes go through [`Inputs`]. Data that already lives on the device goes
//! through [`Tensor`] and [`Criterion::backward`], which never waits.
//!
//! # A model
//!
//! [`Sequential`] describes layers, [`Sequential::on`] puts them on a device, [`Model::compile`] chooses loss and
//! optimizer, [`Model::fit`] trains. See [`Sequential`] for an example that runs.
//!
//! # A population
//!
//! [`Population`] trains many models of one shape on the same rows: other seeds, learning rates, options of the
//! optimizer or the loss. Each member comes out as it would alone; on a GPU small ones run side by side in the same
//! dispatches.
//!
//! ```
//! use gradus::{Dense, Device, Fit, Member, Population, Sequential, losses::Mse, optimizers::Adam};
//! use ndarray::array;
//!
//! let (x, y) = (array![[0.0], [1.0], [2.0], [3.0]], array![[1.0], [3.0], [5.0], [7.0]]); // y = 2x + 1
//! let rates = [1e-4, 1e-2, 0.3];
//! let members = rates.map(|rate| Member::new().learning_rate(rate));
//! let mut population = Population::new(Sequential::new(1).then(Dense::new(1)), members, &Device::cpu())?
//!     .compile(Mse::new(), Adam::new())?;
//! let histories = population.fit(&x, &y, Fit::new().epochs(200).batch_size(2))?;
//! assert_eq!(histories.len(), 3);
//! assert_eq!(population.best(), Some(2)); // the smaller rates are still on their way
//! let mut model = population.member(2)?; // a model like any other
//! assert!((model.predict(&array![[4.0]])?[[0, 0]] - 9.0).abs() < 0.2);
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! # For those who come from elsewhere
//!
//! | PyTorch | Keras | gradus |
//! |---|---|---|
//! | `torch.device("cuda")` | | [`Device::gpu`] |
//! | `CrossEntropyLoss(label_smoothing=0.1)` | `CategoricalCrossentropy(label_smoothing=0.1)` | `CrossEntropy::new().label_smoothing(0.1)` |
//! | `reduction="none"`, `"sum"`, `"mean"` | `reduction=None`, `"sum"`, `"sum_over_batch_size"` | [`Reduction`] |
//! | `loss.backward()` | | the gradient is in the [`Evaluation`] |
//! | `nn.Sequential(nn.Linear(784, 10), nn.ReLU())` | `Sequential([Dense(10, "relu")])` | `Sequential::new(784).then(Dense::new(10).activation(Relu))` |
//! | | `model.compile`, `fit`, `evaluate`, `predict`, `summary` | the same names on [`Model`] |
//! | `state_dict`, `torch.save` | `model.save` | [`Model::save`], [`Model::load`]: safetensors with the optimizer's state |
//! | `lr_scheduler.CosineAnnealingLR` | `schedules.CosineDecay` | `Fit::new().schedule(Cosine::new().steps(1000_u64))`: [`schedules`] |
//! | `clip_grad_norm_`, `clip_grad_value_` | `global_clipnorm`, `clipvalue` | [`Fit::clip_norm`], [`Fit::clip_value`] |
//! | `swa_utils.AveragedModel` | `use_ema` | [`Fit::average`], [`Model::averaged`] |
//! | `optax.adam(1e-3)` (optax) | `Adam(1e-3)` | `Adam::new().learning_rate(1e-3)` |
//!
//! # Errors
//!
//! All of them are one [`Error`]: what was asked, what was found, what is allowed. Nothing panics on what a user
//! hands in, no device is swapped for another in silence, and a fault of the GPU (lost, out of memory, a refused
//! shader) is an error and never wgpu's panic.
//!
//! # What is kept on disk
//!
//! In `GRADUS_CACHE_DIR`, else in `gradus` in the system's folder for caches (`$XDG_CACHE_HOME` or `~/.cache`, `~/Library/Caches`,
//! `%LOCALAPPDATA%`), for the next process on the same adapter and driver; deleting it costs time and nothing else:
//!
//! * the pipelines that the driver has compiled, where it hands them out (Vulkan); `GRADUS_PIPELINE_CACHE=off` keeps none;
//! * the tile that a matrix product of a size is fastest with, found once by trying a few within half a second on
//!   hardware; `GRADUS_AUTOTUNE=off` or [`Gpu::set_autotune`] takes the built-in rule. The choice changes no bit of a result.
//!
//! # Features
//!
//! `cli` (default) is the command and the progress bar; `data` the readers of .gz, CSV and .npz files. Without both there
//! are left wgpu, ndarray, the matrix product of the CPU (gemm, pulp, rayon) and the model files (safetensors, serde).
//!
//! # How it is built
//!
//! *Kernel and filling*: a frame is written once per shape of data (`shaders/kernels`), a loss, an activation or an
//! optimizer is a filling of some lines (`shaders/losses`, …) with a Rust twin of the same stem, which runs as f64 for
//! the reference and as vectorised f32 on the CPU.
#![warn(missing_docs)]

pub mod activations;
pub mod bench;
mod cache;
pub mod cases;
mod catalogue;
mod criterion;
#[cfg(feature = "data")]
pub mod data;
mod device;
pub mod embedding;
mod error;
pub mod host;
mod inputs;
mod kernel;
mod kernels;
pub mod layers;
pub mod losses;
pub mod metrics;
mod model;
pub mod optimizers;
mod plan;
mod population;
pub mod random;
pub mod real;
pub mod recommend;
pub mod schedules;
mod tensor;
pub mod testing;
mod train;
#[doc(hidden)]
pub mod wgsl;

pub use catalogue::{Choice, Entry};
pub use criterion::{
    Auxiliaries, Criterion, DeviceEvaluation, Evaluation, OnEmpty, Reduction, TensorInputs, Upstream, Values,
};
pub use device::{Device, Gpu, GpuOptions, adapters, describe};
pub use embedding::Embedding;
pub use error::{Error, Result};
pub use inputs::{Inputs, TargetElement, Targets};
pub use layers::{Dense, Initializer};
pub use model::{Model, Names, Sequential};
pub use plan::{DensePass, Plan};
pub use population::{Member, Population};
pub use real::Real;
pub use tensor::Tensor;
pub use train::{Average, EarlyStopping, Epoch, Fit, History, Score, Stop};
