//! Loading a recommender from a file.

use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::data::compare_ids;
use crate::recommend::engine::{Cut, Optimizer, State, Table, Tally};
use crate::recommend::features::Features;
use crate::recommend::file::{
    COLUMNS, CutEpoch, Description, Form, KEY, TableDescription, VERSION,
};
use crate::recommend::interactions::{Ids, Interactions};
use crate::recommend::model::{Epoch, Model};
use crate::recommend::recommender::{Recommender, engine};
use crate::recommend::side::{FromTable, Newcomers, SideFeatures};
use crate::runtime::device::Device;
use crate::runtime::file_tensors::check_seal;
use crate::runtime::files;
use crate::{Error, Result};

impl Model {
    /// Loads a recommender saved by [`Model::save`], ready for prediction or further training.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Data`] for a file that is damaged, also in a single bit, or
    /// not a gradus recommender.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
        Self::of_bytes(path, &bytes, device)
    }

    /// As [`Model::load`], of the bytes of [`Model::to_bytes`] or of a whole file.
    ///
    /// # Errors
    /// [`Error::Data`] for bytes that are damaged or not a gradus recommender; errors of the device.
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<Self> {
        Self::of_bytes(Path::new(files::IN_MEMORY), bytes, device)
    }

    /// The recommender of a file's bytes; errors name `path`.
    fn of_bytes(path: &Path, bytes: &[u8], device: &Device) -> Result<Self> {
        let file = Saved::open(path, bytes)?;
        let described = file.description()?;
        let (history, cut) = (file.history(described.history)?, file.cut(described.cut)?);
        let Description { users, items, epochs, planned, preparation, options, .. } = described;
        let (user_features, item_features, has_seen) =
            (described.user_features, described.item_features, described.has_seen);
        let mut description =
            Recommender { users, items, user_features: None, item_features: None, options };
        description.user_features = file.side("users", user_features, described.user_table)?;
        description.item_features = file.side("items", item_features, described.item_table)?;
        // The tables' sizes derive from these: checked before anything is allocated.
        let layout = description
            .layout()
            .map_err(|error| file.refused("the metadata", error.to_string(), "sound options"))?;
        let rows = |entities: usize, features: Option<usize>| features.unwrap_or(entities);
        let components = description.options.components;
        let averages = matches!(description.options.optimizer, Optimizer::Adadelta { .. });
        let state = State {
            users: file.table("users", rows(users, user_features), components, averages)?,
            items: file.table("items", rows(items, item_features), components, averages)?,
        };
        let seen = if has_seen { Some(file.seen(users, layout.items)?) } else { None };
        let mut engine = engine(layout, device)?;
        engine.set_state(&state)?;
        let mut model = Model::new(description, device.clone(), engine);
        (model.epochs, model.seen) = (epochs, seen.map(Arc::new));
        (model.history, model.planned, model.cut, model.preparation) =
            (history, planned, cut, preparation);
        // Last: what a tensor or a field has wrong is reported in its own words.
        check_seal(path, &file.text, &file.tensors)?;
        Ok(model)
    }
}

/// A file being read.
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
        let damaged =
            |error: safetensors::SafeTensorError| refused("the header", error.to_string());
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let text = metadata.metadata().as_ref().and_then(|map| map.get(KEY)).cloned();
        let text = text.ok_or_else(|| refused("the metadata", format!("no key `{KEY}`")))?;
        Ok(Saved { path, text, tensors })
    }

    fn refused(&self, position: &str, found: String, expected: &str) -> Error {
        Error::Data {
            path: self.path.into(),
            position: position.into(),
            found,
            expected: expected.into(),
        }
    }

    fn description(&self) -> Result<Description> {
        let damaged = |error: serde_json::Error| {
            self.refused("the metadata", error.to_string(), "the description of a recommender")
        };
        // A newer version may have other fields: read the version first.
        let Form { version } = serde_json::from_str(&self.text).map_err(damaged)?;
        if version > VERSION {
            let found = format!("version {version}");
            return Err(self.refused("the metadata", found, "version 1; use a newer gradus"));
        }
        serde_json::from_str(&self.text).map_err(damaged)
    }

    fn view(&self, name: &str) -> Result<TensorView<'_>> {
        self.tensors
            .tensor(name)
            .map_err(|_| self.refused(&format!("tensor `{name}`"), "nothing".into(), "a tensor"))
    }

    /// The 32-bit words of a tensor of this type.
    fn words(&self, name: &str, dtype: Dtype) -> Result<Vec<u32>> {
        let view = self.view(name)?;
        if view.dtype() != dtype {
            let found = format!("{:?}", view.dtype());
            return Err(self.refused(&format!("tensor `{name}`"), found, &format!("{dtype:?}")));
        }
        Ok(view.data().as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }

    /// Ids as written by [`Entry::ids`].
    fn ids(&self, name: &str) -> Result<Vec<String>> {
        let view = self.view(name)?;
        if view.dtype() != Dtype::U8 {
            return Ok(self.words(name, Dtype::U32)?.iter().map(ToString::to_string).collect());
        }
        let text = std::str::from_utf8(view.data()).map_err(|_| {
            self.refused(
                &format!("tensor `{name}`"),
                "bytes that are no text".into(),
                "ids, one to a line",
            )
        })?;
        Ok(text.split('\n').map(String::from).collect())
    }

    fn singles(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.words(name, Dtype::F32)?.into_iter().map(f32::from_bits).collect())
    }

    /// Finite f32 or f64 values of the given shape.
    fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
        let view = self.view(name)?;
        let values: Vec<f64> = match view.dtype() {
            Dtype::F64 => view
                .data()
                .as_chunks::<8>()
                .0
                .iter()
                .map(|bytes| f64::from_le_bytes(*bytes))
                .collect(),
            Dtype::F32 => view
                .data()
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f64::from(f32::from_le_bytes(*bytes)))
                .collect(),
            other => {
                return Err(self.refused(
                    &format!("tensor `{name}`"),
                    format!("{other:?}"),
                    "F32 or F64",
                ));
            }
        };
        if view.shape() != shape {
            let found = format!("shape {:?}", view.shape());
            return Err(self.refused(
                &format!("tensor `{name}`"),
                found,
                &format!("shape {shape:?}"),
            ));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(self.refused(
                &format!("tensor `{name}`"),
                value.to_string(),
                "finite numbers",
            ));
        }
        Ok(values)
    }

    fn history(&self, epochs: usize) -> Result<Vec<Epoch>> {
        let numbers =
            if epochs == 0 { Vec::new() } else { self.numbers("history", &[epochs, COLUMNS])? };
        let epoch = |row: &[f64]| Epoch {
            loss: row[0],
            sampled: row[1] as u64,
            updates: row[2] as u64,
            seconds: 0.0,
        };
        Ok(numbers.chunks_exact(COLUMNS).map(epoch).collect())
    }

    fn cut(&self, cut: Option<CutEpoch>) -> Result<Option<Cut>> {
        let Some(CutEpoch { batches, draws, updates, over }) = cut else { return Ok(None) };
        let loss = self.numbers("cut", &[1])?[0];
        Ok(Some(Cut { batches, tally: Tally { loss, draws, updates }, over }))
    }

    fn table(&self, side: &str, rows: usize, components: usize, averages: bool) -> Result<Table> {
        let updates = |name: &str, shape: &[usize]| match averages {
            true => self.numbers(&format!("{side}.{name}"), shape),
            false => Ok(Vec::new()),
        };
        Ok(Table {
            embeddings: self.numbers(&format!("{side}.embeddings"), &[rows, components])?,
            embedding_squares: self
                .numbers(&format!("{side}.embedding_squares"), &[rows, components])?,
            biases: self.numbers(&format!("{side}.biases"), &[rows])?,
            bias_squares: self.numbers(&format!("{side}.bias_squares"), &[rows])?,
            embedding_updates: updates("embedding_updates", &[rows, components])?,
            bias_updates: updates("bias_updates", &[rows])?,
        })
    }

    fn side(
        &self,
        side: &str,
        count: Option<usize>,
        table: Option<TableDescription>,
    ) -> Result<Option<SideFeatures>> {
        let Some(count) = count else { return Ok(None) };
        let features = self.features(&format!("{side}.features"), count)?;
        let Some(TableDescription { encoding, has_newcomers }) = table else {
            return Ok(Some(features.into()));
        };
        let newcomers = if has_newcomers {
            let name = format!("{side}.new.ids");
            let (ids, features) =
                (self.ids(&name)?, self.features(&format!("{side}.new.features"), count)?);
            if ids.len() != features.entities() || !is_ascending(&ids) {
                return Err(self.refused(
                    &format!("tensor `{name}`"),
                    "ids that do not fit".into(),
                    "an id for each",
                ));
            }
            Some(Newcomers { ids, features })
        } else {
            None
        };
        Ok(Some(SideFeatures::of_table(features, FromTable { encoding, newcomers })))
    }

    fn features(&self, name: &str, count: usize) -> Result<Features> {
        let starts = self.words(&format!("{name}.starts"), Dtype::U32)?;
        let ids = self.words(&format!("{name}.ids"), Dtype::U32)?;
        let weights = self.singles(&format!("{name}.weights"))?;
        let found = u32::try_from(count)
            .ok()
            .and_then(|count| Features::from_rows(count, &starts, &ids, &weights));
        found.ok_or_else(|| {
            self.refused(
                &format!("tensors `{name}`"),
                "rows that do not fit together".into(),
                "features",
            )
        })
    }

    fn seen(&self, users: usize, items: u32) -> Result<Interactions> {
        let starts = self.words("seen.starts", Dtype::U32)?;
        let columns = self.words("seen.items", Dtype::U32)?;
        let seen =
            Interactions::from_rows(items, &starts, &columns, &self.singles("seen.weights")?);
        let broken =
            |what: &str| self.refused(what, "rows that do not fit together".into(), "interactions");
        let seen =
            seen.filter(|seen| seen.users() == users).ok_or_else(|| broken("tensors `seen`"))?;
        let ids = |name: &str, kind: &'static str, count: usize| match self.tensors.tensor(name) {
            Err(_) => Ok(None),
            Ok(_) => {
                let raw = self.ids(name)?;
                let ascending = raw.len() == count && is_ascending(&raw);
                if ascending {
                    Ok(Some(Ids::new(kind, raw)))
                } else {
                    Err(broken(&format!("tensor `{name}`")))
                }
            }
        };
        let (user_ids, item_ids) =
            (ids("seen.user_ids", "user", users)?, ids("seen.item_ids", "item", items as usize)?);
        Ok(seen.with_ids(user_ids, item_ids))
    }
}

/// True if the ids are strictly ascending.
fn is_ascending(ids: &[String]) -> bool {
    ids.is_sorted_by(|a, b| compare_ids(a, b).is_lt())
}
