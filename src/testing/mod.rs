//! Checks: results of each loss, activation, optimizer and matrix product on a device, compared
//! with the f64 reference; a layer outside of a model ([`LayerPass`], [`check_layer`]).
//!
//! `gradus check` prints these reports, and the tests require each to pass. Everything is driven by
//! the catalogues: a new entry is drawn for, run and compared without a line here.
//!
//! **Correctness criterion.** Every f32 computation rounds, so the tolerance must be derived. The
//! criterion is that of N. Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, section
//! 1.5: a result is correct if it is, up to a few roundings, the exact result for inputs that are
//! perturbed by a few roundings. So the tolerance of each element is
//!
//! * the change of the f64 reference when the inputs are perturbed by `INPUT_ULPS`, up and down:
//!   WGSL allows `exp` an error of 3 + 2|x| ulp, and 2|x| of these are an argument 2 ulp off; a
//!   division in the argument may add 2.5 more;
//! * plus `RESULT_ULPS` of the result's own size: the other 3 of `exp`, 2.5 for a division, ½ for
//!   each product;
//! * plus half an ulp for each addition in the longest chain of a sum, of the sum of magnitudes.
//!
//! Comparisons are written so that NaN fails; NaN and infinities must occur exactly where the
//! reference has them.

// For the command, and for the tests that feed it cases.
#[doc(hidden)]
pub mod bench;
#[doc(hidden)]
pub mod cases;

mod activation;
mod case_generator;
mod differences;
mod draw;
mod exact;
mod layer;
mod layer_engine;
mod layer_pass;
mod loss;
mod matmul;
mod multi_input;
mod optimizer;
mod programs;
pub(crate) mod report;

pub use crate::testing::report::{Comparison, Report, compare};
pub use activation::check_activation;
pub use differences::central_differences;
pub use layer::check_layer;
pub use layer_pass::{LayerGradients, LayerPass};
pub use loss::{Checked, check, check_loss};
pub use matmul::check_matmul;
pub use optimizer::check_optimizer;
#[doc(hidden)]
pub use programs::{Joined, Listing, all_programs, listings_of, unit_programs};
