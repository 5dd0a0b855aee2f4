//! Saving a recommender to a file.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

use super::{COLUMNS, CutEpoch, Description, KEY, TableDescription, VERSION};
use crate::recommend::engine::{Cut, Tally};
use crate::recommend::features::Features;
use crate::recommend::model::{Epoch, Model};
use crate::recommend::recommender::Recommender;
use crate::recommend::side::SideFeatures;
use crate::runtime::device::Device;
use crate::runtime::file_tensors::sealed;
use crate::runtime::files;
use crate::{Error, Result};

/// A tensor to write.
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

    /// Ids: 32-bit numbers if all of them fit, else text, one id per line.
    fn ids(name: &str, ids: &[String]) -> Self {
        let numbers: Option<Vec<u32>> = ids
            .iter()
            .map(|id| id.parse().ok().filter(|number: &u32| number.to_string() == *id))
            .collect();
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

    /// Values of the f64 reference device are stored as f64, bit for bit; all others as f32.
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
    /// Saves the embeddings with their squared-gradient sums, side features, seen interactions
    /// (with the file's ids) and options to a safetensors file, with a checksum that [`Model::load`]
    /// compares. The file is replaced atomically: a
    /// crash while saving leaves the previous one.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; errors of the device.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        files::write(path, &self.bytes_of(path)?)
    }

    /// The file of [`Model::save`] in memory: [`Model::from_bytes`] reads it.
    ///
    /// ```
    /// use gradus::Device;
    /// use gradus::recommend::{Interactions, Model, Recommender};
    /// let mut model = Recommender::new(2, 2).on(&Device::cpu())?;
    /// model.fit(&Interactions::new(2, 2, &[(0, 0), (1, 1)])?, 3)?;
    /// let copy = Model::from_bytes(&model.to_bytes()?, &Device::cpu())?;
    /// assert_eq!(copy.predict(&[0, 1], &[1, 0])?, model.predict(&[0, 1], &[1, 0])?);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Errors of the device.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.bytes_of(Path::new(files::IN_MEMORY))
    }

    /// The file's bytes; errors name `path`.
    fn bytes_of(&self, path: &Path) -> Result<Vec<u8>> {
        let failed =
            |text: String| Error::Io { path: path.into(), source: std::io::Error::other(text) };
        let entries = self.entries()?;
        let Recommender { users, items, user_features, item_features, options } = &self.description;
        let count =
            |side: &Option<SideFeatures>| side.as_ref().map(|side| side.features().features());
        let table = |side: &Option<SideFeatures>| {
            let table = side.as_ref().and_then(SideFeatures::table)?;
            Some(TableDescription {
                encoding: table.encoding.clone(),
                has_newcomers: table.newcomers.is_some(),
            })
        };
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
            cut: self.cut.map(|Cut { batches, tally: Tally { draws, updates, .. }, over }| {
                CutEpoch { batches, draws, updates, over }
            }),
            preparation: self.preparation,
            user_table: table(user_features),
            item_table: table(item_features),
        };
        let text =
            serde_json::to_string(&description).map_err(|error| failed(error.to_string()))?;
        let views: Vec<(&str, TensorView)> = entries
            .iter()
            .map(|entry| {
                Ok((
                    entry.name.as_str(),
                    TensorView::new(entry.dtype, entry.shape.clone(), &entry.bytes)?,
                ))
            })
            .collect::<Result<_, safetensors::SafeTensorError>>()
            .map_err(|error| failed(error.to_string()))?;
        let text = sealed(&text, views.iter().map(|(name, view)| (*name, view)));
        safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), text)])))
            .map_err(|error| failed(error.to_string()))
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
            if !table.bias_updates.is_empty() {
                add("embedding_updates", vec![rows, components], &table.embedding_updates);
                add("bias_updates", vec![rows], &table.bias_updates);
            }
            let Some(features) = features else { continue };
            add_features(&mut entries, &format!("{side}.features"), features.features());
            if let Some(newcomers) = features.table().and_then(|table| table.newcomers.as_ref()) {
                entries.push(Entry::ids(&format!("{side}.new.ids"), &newcomers.ids));
                add_features(&mut entries, &format!("{side}.new.features"), &newcomers.features);
            }
        }
        if !self.history.is_empty() {
            let epoch = |epoch: &Epoch| [epoch.loss, epoch.sampled as f64, epoch.updates as f64];
            let numbers: Vec<f64> = self.history.iter().flat_map(epoch).collect();
            entries.push(Entry::number(
                "history".into(),
                vec![self.history.len(), COLUMNS],
                &numbers,
                true,
            ));
        }
        if let Some(cut) = &self.cut {
            entries.push(Entry::number("cut".into(), vec![1], &[cut.tally.loss], true));
        }
        if let Some(seen) = &self.seen {
            let known = seen.known();
            entries.push(Entry::whole("seen.starts".into(), known.starts));
            entries.push(Entry::whole("seen.items".into(), known.items));
            entries.push(Entry::single("seen.weights".into(), known.weights));
            for (name, ids) in
                [("seen.user_ids", seen.user_ids()), ("seen.item_ids", seen.item_ids())]
            {
                entries.extend(ids.map(|ids| Entry::ids(name, ids.raw())));
            }
        }
        Ok(entries)
    }
}

fn add_features(entries: &mut Vec<Entry>, name: &str, features: &Features) {
    let (starts, ids, weights) = features.rows();
    entries.push(Entry::whole(format!("{name}.starts"), starts));
    entries.push(Entry::whole(format!("{name}.ids"), ids));
    entries.push(Entry::single(format!("{name}.weights"), weights));
}
