//! Training: models alone and in populations, optimizers, lists.

mod blocks;
mod bookkeeping;
mod copies;
mod lengths;
mod mixed_precision;
mod optimizers;
mod pixels;
mod population;
mod ranking;
mod ranks;
mod resuming;
mod stories;
#[path = "../support/mod.rs"]
mod support;
mod tensorboard;
mod updates;
mod weights;
