//! Recommenders in files: safetensors with the tables, the side features, what was seen and, as JSON, the options.

mod loading;
mod saving;

use serde::{Deserialize, Serialize};

use crate::data::Encoding;
use crate::recommend::preparation::Preparation;
use crate::recommend::recommender::Options;

/// The key of the description in the file's metadata.
const KEY: &str = "gradus_recommender";

/// The form of the description; a file with a higher one is refused.
const VERSION: u32 = 1;

/// What every form of the description says.
#[derive(Deserialize)]
struct Form {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Description {
    version: u32,
    users: usize,
    items: usize,
    epochs: u32,
    options: Options,
    /// How many features there are, where there are side features.
    user_features: Option<usize>,
    item_features: Option<usize>,
    has_seen: bool,
    #[serde(default)]
    planned: u32,
    /// Epochs in the tensor `history`.
    #[serde(default)]
    history: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut: Option<CutEpoch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preparation: Option<Preparation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_table: Option<TableDescription>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item_table: Option<TableDescription>,
}

/// Side features that were made of a table. Those that are known by them alone are in the tensors `users.new` or `items.new`.
#[derive(Serialize, Deserialize)]
struct TableDescription {
    encoding: Encoding,
    has_newcomers: bool,
}

/// An epoch that was ended in its midst; its loss is in the tensor `cut`, with every bit.
#[derive(Serialize, Deserialize)]
struct CutEpoch {
    batches: usize,
    draws: u64,
    updates: u64,
    #[serde(default)]
    over: Option<u64>,
}

/// Numbers of an epoch in the tensor `history`: loss, draws, updates.
const COLUMNS: usize = 3;
