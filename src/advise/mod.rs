//! Which loss, optimizer and network for a data set, and why.
//!
//! [`advise`] looks at a table as it is in its file: it recognizes the task, fits a robust pilot
//! model, computes statistics of the residuals or of the classes, compares each with a threshold,
//! and names losses with their options. A loss determines what a network estimates (the mean, the
//! median, probabilities), so each comes with that and with a metric that is consistent with it (T.
//! Gneiting, Making and evaluating point forecasts, 2011).
//!
//! ```
//! use gradus::advise::{AdviseOptions, TaskKind, advise};
//! use gradus::data::{Column, Table};
//!
//! // A line with noise, and one target in twenty ten times as large.
//! let x: Vec<f64> = (0..400).map(|row| f64::from(row % 40)).collect();
//! let noise = |row: usize| ((row * 7919) % 101) as f64 / 50.0 - 1.0;
//! let price = |row: usize| (100.0 + x[row] + noise(row)) * if row % 20 == 3 { 10.0 } else { 1.0 };
//! let y: Vec<f64> = (0..400).map(price).collect();
//! let table = Table::new(vec![Column::numbers("size", x), Column::numbers("price", y)])?;
//! let advice = advise(&table, &AdviseOptions::default().target("price"))?;
//! assert_eq!(advice.task.kind, TaskKind::Numbers);
//! assert_eq!(advice.losses[0].loss, "huber");
//! assert!(advice.warns("heavy_tails"));
//! # Ok::<(), gradus::Error>(())
//! ```

mod advice;
mod analysis;
mod answers;
mod classes;
mod columns;
mod features;
mod hints;
mod linear;
mod moments;
mod neighbours;
mod pilot;
mod quantity;
mod rules;
mod statistics;
mod task;

pub use advice::{
    Advice, Candidate, Histogram, NetworkAdvice, OptimizerAdvice, Statistic, Warning,
};
pub use analysis::{AdviseOptions, advise, advise_arrays};
pub use task::{Task, TaskKind};
