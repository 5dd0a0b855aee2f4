//! Recommender files: safetensors with the tables, the side features, the interactions seen and, as
//! JSON, the options.

mod loading;
mod saving;

use serde::{Deserialize, Serialize};

use crate::data::Encoding;
use crate::recommend::preparation::Preparation;
use crate::recommend::recommender::Options;

/// The key of the description in the file's metadata.
const KEY: &str = "gradus_recommender";

/// Version of the description; files with a higher one are rejected.
const VERSION: u32 = 1;

/// Fields common to all versions of the description.
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
    /// Number of features, if there are side features.
    user_features: Option<usize>,
    item_features: Option<usize>,
    has_seen: bool,
    #[serde(default)]
    planned: u32,
    /// Number of epochs in the tensor `history`.
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

/// Side features encoded from a table. Entities known only by their features are in the tensors
/// `users.new` or `items.new`.
#[derive(Serialize, Deserialize)]
struct TableDescription {
    encoding: Encoding,
    has_newcomers: bool,
}

/// An interrupted epoch; its loss is in the tensor `cut`, bit for bit.
#[derive(Serialize, Deserialize)]
struct CutEpoch {
    batches: usize,
    draws: u64,
    updates: u64,
    #[serde(default)]
    over: Option<u64>,
}

/// Values per epoch in the tensor `history`: loss, draws, updates.
const COLUMNS: usize = 3;
