//! Recommenders in files: safetensors with the tables, the side features, what was seen and, as JSON, the options.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::data::compare_ids;
use crate::device::Device;
use crate::recommend::engine::{Cut, State, Table, Tally};
use crate::recommend::features::Features;
use crate::recommend::interactions::{Ids, Interactions};
use crate::recommend::model::{Epoch, Model, Preparation};
use crate::recommend::recommender::{Options, Recommender, engine};
use crate::{Error, Result, files};

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

/// A tensor to be written.
struct Entry {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    bytes: Vec<u8>,
}

impl Entry {
    fn whole(name: String, values: &[u32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Entry { name, shape: vec![values.len()], dtype: Dtype::U32, bytes }
    }

    /// Ids: numbers of 32 bits where they all are, else text, an id to a line.
    fn ids(name: &str, ids: &[String]) -> Self {
        let numbers: Option<Vec<u32>> =
            ids.iter().map(|id| id.parse().ok().filter(|number: &u32| number.to_string() == *id)).collect();
        match numbers {
            Some(numbers) => Entry::whole(name.into(), &numbers),
            None => {
                let bytes = ids.join("\n").into_bytes();
                Entry { name: name.into(), shape: vec![bytes.len()], dtype: Dtype::U8, bytes }
            }
        }
    }

    fn single(name: String, values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Entry { name, shape: vec![values.len()], dtype: Dtype::F32, bytes }
    }

    /// f64 of the reference device keeps its bits, all others are f32.
    fn number(name: String, shape: Vec<usize>, values: &[f64], exact: bool) -> Self {
        let (dtype, bytes) = if exact {
            (Dtype::F64, values.iter().flat_map(|value| value.to_le_bytes()).collect())
        } else {
            (Dtype::F32, values.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect())
        };
        Entry { name, shape, dtype, bytes }
    }
}

impl Model {
    /// Saves the embeddings with their squares, side features, what was seen (with the file's ids) and the options to a safetensors
    /// file. The file is replaced in one move: a crash while saving leaves the one before.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; what the device reports.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed = |text: String| Error::Io { path: path.into(), source: std::io::Error::other(text) };
        let entries = self.entries()?;
        let Recommender { users, items, user_features, item_features, options } = &self.description;
        let count = |features: &Option<Arc<Features>>| features.as_ref().map(|features| features.features());
        let description = Description {
            version: VERSION,
            users: *users,
            items: *items,
            epochs: self.epochs,
            options: options.clone(),
            user_features: count(user_features),
            item_features: count(item_features),
            has_seen: self.seen.is_some(),
            planned: self.planned,
            history: self.history.len(),
            cut: self.cut.map(|Cut { batches, tally: Tally { draws, updates, .. }, over }| CutEpoch {
                batches,
                draws,
                updates,
                over,
            }),
            preparation: self.preparation,
        };
        let text = serde_json::to_string(&description).map_err(|error| failed(error.to_string()))?;
        let views: Vec<(&str, TensorView)> = entries
            .iter()
            .map(|entry| Ok((entry.name.as_str(), TensorView::new(entry.dtype, entry.shape.clone(), &entry.bytes)?)))
            .collect::<Result<_, safetensors::SafeTensorError>>()
            .map_err(|error| failed(error.to_string()))?;
        let bytes = safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), text)])))
            .map_err(|error| failed(error.to_string()))?;
        files::write(path, &bytes)
    }

    fn entries(&self) -> Result<Vec<Entry>> {
        let (state, exact) = (self.engine.state()?, matches!(self.device, Device::Reference));
        let components = self.description.options.components;
        let mut entries = Vec::new();
        for (side, table, features) in [
            ("users", &state.users, &self.description.user_features),
            ("items", &state.items, &self.description.item_features),
        ] {
            let rows = table.biases.len();
            let mut add = |name: &str, shape: Vec<usize>, values: &[f64]| {
                entries.push(Entry::number(format!("{side}.{name}"), shape, values, exact));
            };
            add("embeddings", vec![rows, components], &table.embeddings);
            add("embedding_squares", vec![rows, components], &table.embedding_squares);
            add("biases", vec![rows], &table.biases);
            add("bias_squares", vec![rows], &table.bias_squares);
            if let Some(features) = features {
                let (starts, ids, weights) = features.rows();
                entries.push(Entry::whole(format!("{side}.features.starts"), starts));
                entries.push(Entry::whole(format!("{side}.features.ids"), ids));
                entries.push(Entry::single(format!("{side}.features.weights"), weights));
            }
        }
        if !self.history.is_empty() {
            let epoch = |epoch: &Epoch| [epoch.loss, epoch.sampled as f64, epoch.updates as f64];
            let numbers: Vec<f64> = self.history.iter().flat_map(epoch).collect();
            entries.push(Entry::number("history".into(), vec![self.history.len(), COLUMNS], &numbers, true));
        }
        if let Some(cut) = &self.cut {
            entries.push(Entry::number("cut".into(), vec![1], &[cut.tally.loss], true));
        }
        if let Some(seen) = &self.seen {
            let known = seen.known();
            entries.push(Entry::whole("seen.starts".into(), known.starts));
            entries.push(Entry::whole("seen.items".into(), known.items));
            entries.push(Entry::single("seen.weights".into(), known.weights));
            for (name, ids) in [("seen.user_ids", seen.user_ids()), ("seen.item_ids", seen.item_ids())] {
                entries.extend(ids.map(|ids| Entry::ids(name, ids.raw())));
            }
        }
        Ok(entries)
    }

    /// A recommender from a file that [`Model::save`] wrote, ready to predict or to be trained on.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Data`] for a file that is damaged or no recommender of gradus's.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
        let file = Saved::open(path, &bytes)?;
        let described = file.description()?;
        let (history, cut) = (file.history(described.history)?, file.cut(described.cut)?);
        let Description { users, items, epochs, planned, preparation, options, .. } = described;
        let (user_features, item_features, has_seen) =
            (described.user_features, described.item_features, described.has_seen);
        let mut description = Recommender { users, items, user_features: None, item_features: None, options };
        description.user_features = file.features("users", user_features)?.map(Arc::new);
        description.item_features = file.features("items", item_features)?.map(Arc::new);
        // The tables' sizes follow from these: checked before anything is allocated by them.
        let layout =
            description.layout().map_err(|error| file.refused("the metadata", error.to_string(), "sound options"))?;
        let rows = |entities: usize, features: Option<usize>| features.unwrap_or(entities);
        let components = description.options.components;
        let state = State {
            users: file.table("users", rows(users, user_features), components)?,
            items: file.table("items", rows(items, item_features), components)?,
        };
        let seen = if has_seen { Some(file.seen(users, layout.items)?) } else { None };
        let mut engine = engine(layout, device)?;
        engine.set_state(&state)?;
        let mut model = Model::new(description, device.clone(), engine);
        (model.epochs, model.seen) = (epochs, seen.map(Arc::new));
        (model.history, model.planned, model.cut, model.preparation) = (history, planned, cut, preparation);
        Ok(model)
    }
}

/// A file that is read.
struct Saved<'a> {
    path: &'a Path,
    text: String,
    tensors: SafeTensors<'a>,
}

impl<'a> Saved<'a> {
    fn open(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let refused = |position: &str, found: String| Error::Data {
            path: path.into(),
            position: position.into(),
            found,
            expected: "a recommender saved by gradus, in safetensors".into(),
        };
        let damaged = |error: safetensors::SafeTensorError| refused("the header", error.to_string());
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let text = metadata.metadata().as_ref().and_then(|map| map.get(KEY)).cloned();
        let text = text.ok_or_else(|| refused("the metadata", format!("no key `{KEY}`")))?;
        Ok(Saved { path, text, tensors })
    }

    fn refused(&self, position: &str, found: String, expected: &str) -> Error {
        Error::Data { path: self.path.into(), position: position.into(), found, expected: expected.into() }
    }

    fn description(&self) -> Result<Description> {
        let damaged = |error: serde_json::Error| {
            self.refused("the metadata", error.to_string(), "the description of a recommender")
        };
        // A newer form may have other parts: its version is read before them.
        let Form { version } = serde_json::from_str(&self.text).map_err(damaged)?;
        if version > VERSION {
            let found = format!("version {version}");
            return Err(self.refused("the metadata", found, "version 1; use a newer gradus"));
        }
        serde_json::from_str(&self.text).map_err(damaged)
    }

    fn view(&self, name: &str) -> Result<TensorView<'_>> {
        self.tensors.tensor(name).map_err(|_| self.refused(&format!("tensor `{name}`"), "nothing".into(), "a tensor"))
    }

    /// Four bytes each, of a type.
    fn words(&self, name: &str, dtype: Dtype) -> Result<Vec<u32>> {
        let view = self.view(name)?;
        if view.dtype() != dtype {
            let found = format!("{:?}", view.dtype());
            return Err(self.refused(&format!("tensor `{name}`"), found, &format!("{dtype:?}")));
        }
        Ok(view.data().as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }

    /// Ids as [`Entry::ids`] writes them.
    fn ids(&self, name: &str) -> Result<Vec<String>> {
        let view = self.view(name)?;
        if view.dtype() != Dtype::U8 {
            return Ok(self.words(name, Dtype::U32)?.iter().map(ToString::to_string).collect());
        }
        let text = std::str::from_utf8(view.data()).map_err(|_| {
            self.refused(&format!("tensor `{name}`"), "bytes that are no text".into(), "ids, one to a line")
        })?;
        Ok(text.split('\n').map(String::from).collect())
    }

    fn singles(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.words(name, Dtype::F32)?.into_iter().map(f32::from_bits).collect())
    }

    /// Finite numbers of a shape, in f32 or f64.
    fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
        let view = self.view(name)?;
        let values: Vec<f64> = match view.dtype() {
            Dtype::F64 => view.data().as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
            Dtype::F32 => {
                view.data().as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
            }
            other => return Err(self.refused(&format!("tensor `{name}`"), format!("{other:?}"), "F32 or F64")),
        };
        if view.shape() != shape {
            let found = format!("shape {:?}", view.shape());
            return Err(self.refused(&format!("tensor `{name}`"), found, &format!("shape {shape:?}")));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(self.refused(&format!("tensor `{name}`"), value.to_string(), "finite numbers"));
        }
        Ok(values)
    }

    fn history(&self, epochs: usize) -> Result<Vec<Epoch>> {
        let numbers = if epochs == 0 { Vec::new() } else { self.numbers("history", &[epochs, COLUMNS])? };
        let epoch = |row: &[f64]| Epoch { loss: row[0], sampled: row[1] as u64, updates: row[2] as u64, seconds: 0.0 };
        Ok(numbers.chunks_exact(COLUMNS).map(epoch).collect())
    }

    fn cut(&self, cut: Option<CutEpoch>) -> Result<Option<Cut>> {
        let Some(CutEpoch { batches, draws, updates, over }) = cut else { return Ok(None) };
        let loss = self.numbers("cut", &[1])?[0];
        Ok(Some(Cut { batches, tally: Tally { loss, draws, updates }, over }))
    }

    fn table(&self, side: &str, rows: usize, components: usize) -> Result<Table> {
        Ok(Table {
            embeddings: self.numbers(&format!("{side}.embeddings"), &[rows, components])?,
            embedding_squares: self.numbers(&format!("{side}.embedding_squares"), &[rows, components])?,
            biases: self.numbers(&format!("{side}.biases"), &[rows])?,
            bias_squares: self.numbers(&format!("{side}.bias_squares"), &[rows])?,
        })
    }

    fn features(&self, side: &str, count: Option<usize>) -> Result<Option<Features>> {
        let Some(count) = count else { return Ok(None) };
        let starts = self.words(&format!("{side}.features.starts"), Dtype::U32)?;
        let ids = self.words(&format!("{side}.features.ids"), Dtype::U32)?;
        let weights = self.singles(&format!("{side}.features.weights"))?;
        let found = u32::try_from(count).ok().and_then(|count| Features::from_rows(count, &starts, &ids, &weights));
        let broken =
            || self.refused(&format!("tensors `{side}.features`"), "rows that do not fit together".into(), "features");
        found.ok_or_else(broken).map(Some)
    }

    fn seen(&self, users: usize, items: u32) -> Result<Interactions> {
        let starts = self.words("seen.starts", Dtype::U32)?;
        let columns = self.words("seen.items", Dtype::U32)?;
        let seen = Interactions::from_rows(items, &starts, &columns, &self.singles("seen.weights")?);
        let broken = |what: &str| self.refused(what, "rows that do not fit together".into(), "interactions");
        let seen = seen.filter(|seen| seen.users() == users).ok_or_else(|| broken("tensors `seen`"))?;
        let ids = |name: &str, kind: &'static str, count: usize| match self.tensors.tensor(name) {
            Err(_) => Ok(None),
            Ok(_) => {
                let raw = self.ids(name)?;
                let ascending = raw.len() == count && raw.is_sorted_by(|a, b| compare_ids(a, b).is_lt());
                if ascending { Ok(Some(Ids::new(kind, raw))) } else { Err(broken(&format!("tensor `{name}`"))) }
            }
        };
        let (user_ids, item_ids) =
            (ids("seen.user_ids", "user", users)?, ids("seen.item_ids", "item", items as usize)?);
        Ok(seen.with_ids(user_ids, item_ids))
    }
}
