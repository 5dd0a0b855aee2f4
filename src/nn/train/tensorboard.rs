//! TensorBoard's event files: scalars of a training as records of protocol buffers.
//!
//! A file is a sequence of TFRecords: the length of the data in 8 bytes, little-endian as all
//! numbers here, the masked CRC-32C of these 8 bytes, the data, and its masked CRC-32C. The data is
//! a message `Event`: field 1 `wall_time` (double), 2 `step` (varint), and 3 `file_version` (string)
//! in the first event or 5 `summary` in the others. A summary has values (field 1) of a `tag`
//! (field 1) and a `simple_value` (field 2, float). Source: `tensorboard/compat/proto/event.proto`,
//! `summary.proto`, and `tensorflow/core/lib/hash/crc32c.h` for the mask.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::nn::train::history::Epoch;
use crate::nn::train::options::StepReport;
use crate::{Error, Result};

/// A log for TensorBoard, written while a training runs: `tensorboard --logdir FOLDER` draws the
/// curves. A clone writes to the same file.
///
/// Each log makes a file of its own, `events.out.tfevents.…`, in its folder: runs in sibling folders
/// are compared, and a resumed training continues the curves of its folder.
///
/// ```
/// use std::ops::ControlFlow;
/// use gradus::{Dense, Device, Fit, Sequential, TensorBoard, losses::Mse, optimizers::Adam};
/// use ndarray::array;
///
/// # let folder = std::env::temp_dir().join(format!("gradus-tensorboard-{}", std::process::id()));
/// let log = TensorBoard::new(&folder)?; // runs/first
/// let (epochs, steps) = (log.clone(), log.clone());
/// let fit = Fit::new()
///     .epochs(3)
///     .on_epoch(move |number, epoch| {
///         epochs.epoch(number, epoch);
///         ControlFlow::Continue(())
///     })
///     .on_step(move |epoch, step| {
///         steps.step(epoch, step);
///         ControlFlow::Continue(())
///     });
/// let mut model =
///     Sequential::new(1).then(Dense::new(1)).on(&Device::cpu())?.compile(Mse::new(), Adam::new())?;
/// model.fit(&array![[0.0], [1.0]], &array![[1.0], [2.0]], fit)?;
/// log.scalar("slope", 3, model.weights()?[0].0[[0, 0]])?; // any number of your own
/// log.close()?;
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TensorBoard {
    shared: Arc<Mutex<Shared>>,
    path: PathBuf,
}

#[derive(Debug)]
struct Shared {
    file: File,
    /// The first error of a write inside a callback, until it is reported.
    failed: Option<io::Error>,
    /// A write has failed: what came behind half a record could not be read.
    is_broken: bool,
}

impl TensorBoard {
    /// Makes the folder, if need be, and a new event file in it.
    ///
    /// # Errors
    /// [`Error::Io`] with the path if it cannot be made or written.
    pub fn new(folder: impl AsRef<Path>) -> Result<Self> {
        // Numbers the logs of a process: two of one second are two files.
        static LOGS: AtomicUsize = AtomicUsize::new(0);
        let folder = folder.as_ref();
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::Io { path, source }
        };
        if folder.exists() && !folder.is_dir() {
            let why = "it is a file; TensorBoard reads a folder of event files";
            return Err(failed(folder)(std::io::Error::other(why)));
        }
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let path = folder.join(format!(
            "events.out.tfevents.{:010}.{}.{}.{}",
            seconds() as u64,
            host(),
            std::process::id(),
            LOGS.fetch_add(1, Ordering::Relaxed)
        ));
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        let mut file = made.map_err(failed(&path))?;
        file.write_all(&record(&version_event(seconds()))).map_err(failed(&path))?;
        let shared = Arc::new(Mutex::new(Shared { file, failed: None, is_broken: false }));
        Ok(TensorBoard { shared, path })
    }

    /// The event file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a number under a name, as `weights/norm`: TensorBoard groups names by what is before
    /// the slash. It is stored as f32; NaN and infinities are.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn scalar(&self, tag: &str, step: u64, value: f64) -> Result<()> {
        let written = self.write(step, &[(tag.to_string(), value)]);
        written.map_err(|source| Error::Io { path: self.path.clone(), source })
    }

    /// Writes the numbers of an epoch that are there, under `epoch/loss`, `epoch/accuracy`,
    /// `epoch/val_loss`, `epoch/val_accuracy`, `epoch/r2`, `epoch/val_r2`, `epoch/learning_rate` and
    /// `epoch/seconds`. For [`Fit::on_epoch`](crate::Fit::on_epoch): an error waits for
    /// [`TensorBoard::close`].
    pub fn epoch(&self, number: usize, epoch: &Epoch) {
        let all = [
            ("loss", Some(epoch.loss)),
            ("accuracy", epoch.accuracy),
            ("val_loss", epoch.val_loss),
            ("val_accuracy", epoch.val_accuracy),
            ("r2", epoch.r2),
            ("val_r2", epoch.val_r2),
            ("learning_rate", epoch.learning_rate),
            ("seconds", Some(epoch.seconds)),
        ];
        let all = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
        self.numbers("epoch", number as u64, all);
    }

    /// Writes the loss of a step under `batch/loss`, numbered over all epochs. For
    /// [`Fit::on_step`](crate::Fit::on_step): an error waits for [`TensorBoard::close`].
    pub fn step(&self, epoch: usize, step: &StepReport) {
        let number =
            epoch.saturating_sub(1).saturating_mul(step.batches).saturating_add(step.batch);
        self.numbers("batch", number as u64, [("loss", step.loss)]);
    }

    /// Writes numbers of one step under `group/name`; an error waits for [`TensorBoard::close`].
    pub fn numbers<'n>(
        &self,
        group: &str,
        step: u64,
        numbers: impl IntoIterator<Item = (&'n str, f64)>,
    ) {
        let tags = numbers.into_iter().map(|(name, value)| (format!("{group}/{name}"), value));
        let written = self.write(step, &tags.collect::<Vec<_>>());
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.failed = shared.failed.take().or(written.err());
    }

    /// The first error of [`TensorBoard::epoch`] or [`TensorBoard::step`], behind which they wrote
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Io`] with that error.
    pub fn close(&self) -> Result<()> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        match shared.failed.take() {
            Some(source) => Err(Error::Io { path: self.path.clone(), source }),
            None => Ok(()),
        }
    }

    /// Writes an event at once: TensorBoard reads the file while it grows.
    fn write(&self, step: u64, values: &[(String, f64)]) -> io::Result<()> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.is_broken {
            return Err(io::Error::other("nothing is written behind an earlier failed write"));
        }
        let written = append(&mut shared.file, &record(&scalar_event(seconds(), step, values)));
        shared.is_broken = written.is_err();
        written
    }
}

/// Writes a record as a whole, or leaves the file as it was: a full disk takes a part of it.
fn append(file: &mut File, record: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    file.write_all(record).or_else(|error| {
        file.set_len(before)?;
        Err(io::Error::new(
            error.kind(),
            format!("{error}; the file ends with the last whole record, and nothing follows it"),
        ))
    })
}

/// Seconds since 1970.
fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The machine's name, of characters that any file system takes.
fn host() -> String {
    let found = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let found = found.or_else(|| std::env::var("COMPUTERNAME").ok());
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let name: String = found.unwrap_or_default().chars().filter(is_plain).collect();
    if name.is_empty() { "localhost".into() } else { name }
}

/// The first event of a file.
fn version_event(seconds: f64) -> Vec<u8> {
    let mut event = field(1, 1);
    event.extend(seconds.to_le_bytes());
    event.extend(bytes_field(3, b"brain.Event:2"));
    event
}

/// An event with numbers of a step.
fn scalar_event(seconds: f64, step: u64, values: &[(String, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in values {
        let mut of_tag = bytes_field(1, tag.as_bytes());
        of_tag.extend(field(2, 5));
        of_tag.extend((*value as f32).to_le_bytes());
        summary.extend(bytes_field(1, &of_tag));
    }
    let mut event = field(1, 1);
    event.extend(seconds.to_le_bytes());
    event.extend(field(2, 0));
    event.extend(varint(step));
    event.extend(bytes_field(5, &summary));
    event
}

/// The key of a field: its number, and its wire type 0 (varint), 1 (8 bytes), 2 (a length and
/// bytes) or 5 (4 bytes).
fn field(number: u8, wire_type: u8) -> Vec<u8> {
    vec![number << 3 | wire_type]
}

fn bytes_field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [field(number, 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// Seven bits to a byte, lowest first; all but the last byte have the high bit set.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A TFRecord.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let [of_length, of_data] = [&length[..], data].map(|bytes| masked(crc32c(bytes)).to_le_bytes());
    [&length[..], &of_length, data, &of_data].concat()
}

/// CRC-32C (Castagnoli), bit by bit: an event has some fifty bytes.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !crc
}

/// A checksum that is stored beside the data it is of: rotated by 15, plus a constant.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // RFC 3720, appendix B.4, and the check value of the CRC catalogue.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(masked(0), 0xa282_ead8);
    }

    #[test]
    fn an_event_has_the_bytes_of_the_format() {
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(varint(u64::MAX).len(), 10);
        let event = scalar_event(1.5, 300, &[("a".into(), 0.25)]);
        let mut wanted = vec![0x09];
        wanted.extend(1.5_f64.to_le_bytes());
        wanted.extend([0x10, 0xac, 0x02, 0x2a, 0x0a, 0x0a, 0x08, 0x0a, 0x01, b'a', 0x15]);
        wanted.extend(0.25_f32.to_le_bytes());
        assert_eq!(event, wanted);
        let written = record(&event);
        assert_eq!(written[..8], (event.len() as u64).to_le_bytes());
        assert_eq!(written.len(), event.len() + 16);
    }
}
