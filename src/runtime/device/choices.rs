//! What the tuner has chosen on an adapter, kept in a JSON file: one for each adapter, driver and version of the kernels.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::runtime::cache;

/// Far more than a file of a few hundred choices takes.
const MOST_BYTES: u64 = 1 << 20;

/// Choices by what they were made for, in memory and on disk.
#[derive(Debug)]
pub(crate) struct Choices {
    /// None where nothing is kept.
    file: Option<PathBuf>,
    content: Content,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// All that the choices hold for. A file that says something else is another's and left out.
    made_for: MadeFor,
    choices: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MadeFor {
    gradus: String,
    adapter: String,
    /// The fingerprint of the kernels' text.
    kernels: String,
}

impl Choices {
    /// Those of an adapter (in one line, with its driver) and kernels of a fingerprint, from the user's cache folder.
    pub fn open(adapter: &str, kernels: u64) -> Self {
        Self::in_folder(cache::folder(), adapter, kernels)
    }

    pub(crate) fn in_folder(folder: Option<PathBuf>, adapter: &str, kernels: u64) -> Self {
        let name = format!("tuning_{:016x}.json", cache::fingerprint([adapter.as_bytes()]));
        let file = folder.map(|folder| folder.join(name));
        let made_for = MadeFor {
            gradus: env!("CARGO_PKG_VERSION").into(),
            adapter: adapter.into(),
            kernels: format!("{kernels:016x}"),
        };
        let mut content = Content { made_for, choices: BTreeMap::new() };
        if let Some(file) = &file
            && let Some(bytes) = cache::read(file, MOST_BYTES)
        {
            match serde_json::from_slice::<Content>(&bytes) {
                Ok(found) if found.made_for == content.made_for => content = found,
                Ok(_) => {
                    log::info!("{}: of other kernels or another driver, left out", file.display())
                }
                Err(error) => log::warn!("{}: damaged, left out: {error}", file.display()),
            }
        }
        Choices { file, content }
    }

    /// What was chosen.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.content.choices.get(key).map(String::as_str)
    }

    /// Keeps a choice, at once on disk too: tuning it took far longer.
    pub fn remember(&mut self, key: String, choice: String) {
        self.content.choices.insert(key, choice);
        if let Some(file) = &self.file
            && let Ok(bytes) = serde_json::to_vec_pretty(&self.content)
        {
            cache::replace(file, &bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_there_for_the_same_adapter_and_kernels_only() {
        let folder = tempfile::tempdir().unwrap();
        let open = |adapter: &str, kernels| {
            Choices::in_folder(Some(folder.path().into()), adapter, kernels)
        };
        open("a card", 1).remember("NN 64".into(), "large".into());
        assert_eq!(open("a card", 1).get("NN 64"), Some("large"));
        assert_eq!(open("a card", 1).get("NN 128"), None);
        assert_eq!(open("a card", 2).get("NN 64"), None);
        assert_eq!(open("another card", 1).get("NN 64"), None);
    }

    #[test]
    fn a_damaged_or_foreign_file_is_left_out_and_then_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Choices::in_folder(Some(folder.path().into()), "a card", 1);
        open().remember("NN 64".into(), "large".into());
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let whole = std::fs::read(&file).unwrap();
        let cases = [
            whole[..whole.len() / 2].to_vec(),
            b"".to_vec(),
            b"[1, 2]".to_vec(),
            vec![0xff; 64],
            String::from_utf8(whole.clone()).unwrap().replace("a card", "another").into_bytes(),
        ];
        for damaged in cases {
            std::fs::write(&file, &damaged).unwrap();
            assert_eq!(open().get("NN 64"), None, "{}", String::from_utf8_lossy(&damaged));
            open().remember("NN 64".into(), "small".into());
            assert_eq!(open().get("NN 64"), Some("small"));
        }
    }
}
