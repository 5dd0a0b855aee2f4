//! Explanations of a trained model: which rows its loss comes from, and why.
//!
//! | question | here | source |
//! |---|---|---|
//! | which rows | [`Model::evaluate_rows`](crate::Model::evaluate_rows), [`Fit::watch_rows`](crate::Fit::watch_rows) | Paul 2021, Swayamdipta 2020, Toneva 2019 |
//! | which labels are wrong | [`LabelNoise`] | Zhang, Sabuncu 2018; Northcutt 2021 |
//! | which pairs of classes | [`loss_cells`] | |
//! | which slices of the rows | [`Slices`] | Chung 2019 (SliceFinder) |
//! | which features, which tokens | [`PermutationImportance`], [`IntegratedGradients`] | Breiman 2001; Sundararajan 2017 |
//! | which training rows made this error | [`influences`] | Pruthi 2020 (TracIn) |
//! | are the probabilities right | [`calibration`] | Brier 1950, Guo 2017 |
//! | how sharp is the minimum | [`Landscape`], [`Curvature`] | Li 2018, Cohen 2021 |
//! | are two models in one valley | [`loss_path`] | Frankle 2020 |
//!
//! Everything is about the *loss*, on the scale on which the model was trained: shares of it, its
//! increase, its attribution to features. Passes run on the model's device, statistics in f64 on the
//! host, in a fixed order: the same rows, device and seed give the same bits.
//!
//! ```
//! use gradus::explain::{PermutationImportance, calibration, loss_cells};
//! use gradus::{Dense, Device, Fit, Sequential, losses::CrossEntropy, optimizers::Adam};
//! use ndarray::{Array1, Array2};
//!
//! // Class 1 if the first of three features is positive; the last four labels are wrong.
//! let x = Array2::from_shape_fn((60, 3), |(row, column)| ((row * 7 + column * 5) % 13) as f32 - 6.0);
//! let y: Array1<i64> = (0..60).map(|row| i64::from((x[[row, 0]] > 0.0) != (row >= 56))).collect();
//! let mut model = Sequential::new(3)
//!     .then(Dense::new(2))
//!     .on(&Device::cpu())?
//!     .compile(CrossEntropy::new(), Adam::new().learning_rate(0.05))?;
//! model.fit(&x, &y, Fit::new().epochs(60))?;
//!
//! let rows = model.evaluate_rows(&x, &y)?;
//! let worst = (0..60).max_by(|&a, &b| rows.loss[a].total_cmp(&rows.loss[b])).unwrap();
//! assert!(worst >= 56); // a label that is wrong
//! let classes = rows.classes.as_ref().unwrap();
//! let cells = loss_cells(&rows.loss, classes)?;
//! assert!(cells[0].target != cells[0].predicted);
//! let features = PermutationImportance::new().measure(&mut model, &x, &y, &[])?;
//! let most = features.iter().max_by(|a, b| a.increase.total_cmp(&b.increase)).unwrap();
//! assert_eq!(most.columns, [0]);
//! assert!(calibration(classes)?.expected_error < 0.5);
//! # Ok::<(), gradus::Error>(())
//! ```

mod attribution;
mod calibration;
mod cells;
mod checks;
mod curvature;
mod influence;
mod labels;
mod landscape;
mod permutation;
mod probe;
mod slices;
mod student;
mod tokens;

pub use attribution::{Attributions, IntegratedGradients};
pub use calibration::{Bin, Calibration, calibration};
pub use cells::{LossCell, loss_cells};
pub use curvature::{Curvature, Eigenvalue, hessian_vector_product};
pub use influence::influences;
pub use labels::{LabelNoise, RankedBy, SuspiciousLabels};
pub use landscape::{Landscape, LossSurface, loss_path};
pub use permutation::{FeatureImportance, PermutationImportance};
pub use slices::{Condition, Slice, Slices};
