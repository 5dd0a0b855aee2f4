//! Embeddings: a table of rows, looked up by ids, with sparse updates.
//!
//! A dense gradient of a table is almost all zeros, and a dense optimizer visits all of them.
//! [`Embedding::update`] sums the gradients of equal ids instead, in the order of their positions,
//! and updates only the rows that were hit. On a GPU the ids are sorted on the device, without
//! atomics or CPU synchronization. Two runs give the same bits, on the CPU with any number of
//! threads.

pub(crate) mod kernels;

mod gpu;
pub(crate) mod host;
#[cfg(test)]
mod tests;

use ndarray::{Array2, ArrayView2};
use serde_json::Value;

use crate::cpu::random::Random;
use crate::nn::embedding::kernels::{Sizes, takes_rows};
use crate::nn::optimizers::Optimizer;
use crate::runtime::device::Device;
use crate::runtime::tensor::{Storage, Tensor, shaped};
use crate::{Error, Result};

/// A table of `rows` vectors of `width` numbers on a device.
///
/// PyTorch `Embedding(rows, width, sparse=True)` with a built-in optimizer; Keras `Embedding`. Pass
/// the gradient of a loss with respect to the output of [`Embedding::gather`] to
/// [`Embedding::update`].
///
/// ```
/// use gradus::{Device, Embedding, Tensor, optimizers::Sgd};
/// use ndarray::{Array2, array};
///
/// let device = Device::cpu();
/// let mut table = Embedding::from_array(&device, array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]].view())?;
/// let ids = Tensor::from_labels(&device, &[2, 0, 2])?;
/// let rows = table.gather(&ids)?;
/// assert_eq!(rows.shape(), [3, 2]);
///
/// let gradient = Tensor::from_array(&device, Array2::<f32>::ones((3, 2)).view().into_dyn())?;
/// table.update(&ids, &gradient, &Sgd::new().learning_rate(0.5))?;
/// assert_eq!(table.to_array()?, array![[0.5, 1.5], [3.0, 4.0], [4.0, 5.0]]); // row 2 was hit twice, row 1 was not
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug)]
pub struct Embedding {
    device: Device,
    rows: usize,
    width: usize,
    table: Table,
    /// Name and options of the optimizer that the states belong to.
    optimizer: Option<(&'static str, Value)>,
    steps: u64,
}

/// Storage of the table and its states.
#[derive(Debug)]
enum Table {
    Gpu(Box<gpu::Table>),
    F32(host::Table<f32>),
    F64(host::Table<f64>),
}

impl Embedding {
    /// A table initialized uniformly in [−`limit`, `limit`).
    ///
    /// Keras' default limit is 0.05, LightFM's is ½/`width`.
    ///
    /// # Errors
    /// [`Error::Option`] for zero rows, zero width or a limit that is not a number ≥ 0;
    /// [`Error::TooLarge`] or [`Error::OutOfMemory`] if the device lacks memory.
    pub fn uniform(
        device: &Device,
        [rows, width]: [usize; 2],
        limit: f64,
        seed: u64,
    ) -> Result<Self> {
        if !(limit >= 0.0 && limit.is_finite()) {
            return Err(Error::option("embedding", "limit", limit, "finite and >= 0"));
        }
        check_sizes(rows, width)?;
        let mut random = Random::new(seed, 0);
        let values =
            (0..rows * width).map(|_| (limit * (2.0 * random.uniform() - 1.0)) as f32).collect();
        Self::with_values(device, [rows, width], values)
    }

    /// A table initialized with the given rows.
    ///
    /// # Errors
    /// As [`Embedding::uniform`].
    pub fn from_array(device: &Device, rows: ArrayView2<f32>) -> Result<Self> {
        let (count, width) = rows.dim();
        check_sizes(count, width)?;
        Self::with_values(device, [count, width], rows.iter().copied().collect())
    }

    fn with_values(device: &Device, [rows, width]: [usize; 2], values: Vec<f32>) -> Result<Self> {
        let table = match device {
            Device::Gpu(gpu) => Table::Gpu(Box::new(gpu::Table::new(gpu, values)?)),
            Device::Cpu => Table::F32(host::Table::new(width, values)),
            Device::Reference => {
                Table::F64(host::Table::new(width, values.into_iter().map(f64::from).collect()))
            }
        };
        Ok(Embedding { device: device.clone(), rows, width, table, optimizer: None, steps: 0 })
    }

    /// Number of rows: ids are below it.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Length of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The table's device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Number of updates so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The rows of `ids`, labels on the same device, as [ids, width]. Does not wait for a GPU.
    ///
    /// # Errors
    /// [`Error::Input`] for ids that are not labels or on another device; [`Error::Label`] for an
    /// id out of range: on a GPU its output is a row of NaN, and [`Embedding::check`] and
    /// [`Embedding::to_array`] report it.
    pub fn gather(&self, ids: &Tensor) -> Result<Tensor> {
        let sizes = self.sizes(ids)?;
        let storage = match (&self.table, &ids.storage) {
            (Table::Gpu(table), Storage::GpuLabels(buffer)) => {
                Storage::Gpu(table.gather(&sizes, buffer)?)
            }
            (Table::F32(table), Storage::Labels(ids)) => {
                Storage::F32(table.gather(checked(ids, self.rows)?).into())
            }
            (Table::F64(table), Storage::Labels(ids)) => {
                Storage::F64(table.gather(checked(ids, self.rows)?).into())
            }
            _ => {
                return Err(refused(
                    "ids",
                    "do not lie where the table does",
                    "they must be labels on its device",
                ));
            }
        };
        Ok(Tensor::new(&self.device, &[sizes.ids, self.width], storage))
    }

    /// One optimizer step on the rows in `ids`; `gradient` is [ids, width], the gradient with
    /// respect to the output of [`Embedding::gather`] for the same ids. Does not wait for a GPU.
    ///
    /// The gradients of equal ids are summed first: in the order of their positions, in blocks of
    /// 256 positions of all sorted ids. Rows that were not hit keep their states and skip
    /// everything that the optimizer does at a gradient of 0: momentum and `weight_decay` act on a
    /// row when it is hit ("lazy", as PyTorch's `SparseAdam`). Without those two, SGD and Adagrad
    /// match a dense gradient. Bias corrections count all updates. The learning rate may differ
    /// between calls, other options may not.
    ///
    /// LightFM's Adagrad is
    /// `Adagrad::new().initial_accumulator_value(1.0).epsilon(0.0).delayed(true)`.
    ///
    /// # Errors
    /// As [`Embedding::gather`], except that on a GPU an id out of range updates nothing;
    /// [`Error::Shape`] for a gradient of another shape; [`Error::Option`] for an optimizer that
    /// reads whole tensors or keeps averaged weights, or that differs from the previous one.
    pub fn update(
        &mut self,
        ids: &Tensor,
        gradient: &Tensor,
        optimizer: &dyn Optimizer,
    ) -> Result<()> {
        let sizes = self.sizes(ids)?;
        if gradient.shape() != [sizes.ids, self.width] {
            return Err(Error::Shape {
                operation: "embedding".into(),
                found: format!(
                    "the gradient is {:?} but there are {} ids",
                    gradient.shape(),
                    sizes.ids
                ),
                allowed: format!("it must be [{}, {}]", sizes.ids, self.width),
            });
        }
        let elsewhere = || {
            let allowed = "they must be labels and numbers on its device";
            refused("ids and gradient", "do not lie where the table does", allowed)
        };
        if !gradient.device().is_same(&self.device) {
            return Err(elsewhere());
        }
        // All checks come first: a rejected call must not fix the optimizer.
        match (&self.table, &ids.storage, &gradient.storage) {
            (Table::Gpu(_), Storage::GpuLabels(_), Storage::Gpu(_)) => {}
            (Table::F32(_), Storage::Labels(ids), Storage::F32(_))
            | (Table::F64(_), Storage::Labels(ids), Storage::F64(_)) => {
                checked(ids, self.rows)?;
            }
            _ => return Err(elsewhere()),
        }
        self.take_optimizer(optimizer)?;
        let step = optimizer.step(self.steps + 1, optimizer.initial_learning_rate());
        match (&mut self.table, &ids.storage, &gradient.storage) {
            (Table::Gpu(table), Storage::GpuLabels(ids), Storage::Gpu(gradient)) => {
                table.update(&sizes, ids, gradient, optimizer, &step)?;
            }
            (Table::F32(table), Storage::Labels(ids), Storage::F32(gradient)) => {
                table.update(ids, gradient, optimizer, &step);
            }
            (Table::F64(table), Storage::Labels(ids), Storage::F64(gradient)) => {
                table.update(ids, gradient, optimizer, &step);
            }
            _ => return Err(elsewhere()),
        }
        self.steps += 1;
        Ok(())
    }

    /// Waits for the device and reports the first id out of range so far.
    ///
    /// # Errors
    /// [`Error::Label`] with its position in its call, reported once; device errors.
    pub fn check(&self) -> Result<()> {
        let Table::Gpu(table) = &self.table else { return Ok(()) };
        match table.bad_id()? {
            None => Ok(()),
            Some((row, id)) => Err(bad_id(row, id, self.rows)),
        }
    }

    /// Downloads the table, [rows, width].
    ///
    /// # Errors
    /// As [`Embedding::check`].
    pub fn to_array(&self) -> Result<Array2<f32>> {
        self.check()?;
        let flat = match &self.table {
            Table::Gpu(table) => table.download(self.rows * self.width)?,
            Table::F32(table) => table.parameters().to_vec(),
            Table::F64(table) => table.parameters().iter().map(|&x| x as f32).collect(),
        };
        let array = shaped(&[self.rows, self.width], flat)?;
        array
            .into_dimensionality()
            .map_err(|error| refused("the table", &error.to_string(), "it has two axes"))
    }

    fn sizes(&self, ids: &Tensor) -> Result<Sizes> {
        if !ids.is_labels() {
            return Err(refused("ids", "are numbers", "they must be labels: Tensor::from_labels"));
        }
        if !ids.device().is_same(&self.device) {
            return Err(refused("ids", "are on another device", "they must be where the table is"));
        }
        if ids.is_empty() {
            return Err(Error::Empty { operation: "embedding".into(), name: "the ids".into() });
        }
        let sizes = Sizes { ids: ids.len(), rows: self.rows, width: self.width };
        sizes.check("embedding")?;
        Ok(sizes)
    }

    /// Creates the states of the first optimizer and rejects a different one.
    fn take_optimizer(&mut self, optimizer: &dyn Optimizer) -> Result<()> {
        optimizer.check()?;
        if !takes_rows(optimizer) {
            let allowed = "one that moves each element by itself and keeps no averaged weights";
            return Err(Error::option("embedding", "optimizer", optimizer.name(), allowed));
        }
        let mut options = optimizer.options();
        options.as_object_mut().and_then(|options| options.remove("learning_rate"));
        match &self.optimizer {
            Some((name, known)) if *name == optimizer.name() && *known == options => return Ok(()),
            Some((name, known)) => {
                let found = format!("{} {options}", optimizer.name());
                let allowed = format!(
                    "{name} {known}, whose states the table keeps; only the learning rate may change"
                );
                return Err(Error::option("embedding", "optimizer", found, &allowed));
            }
            None => {}
        }
        match &mut self.table {
            Table::Gpu(table) => table.begin(optimizer, self.rows * self.width)?,
            Table::F32(table) => table.begin(optimizer),
            Table::F64(table) => table.begin(optimizer),
        }
        self.optimizer = Some((optimizer.name(), options));
        Ok(())
    }
}

fn refused(name: &str, found: &str, allowed: &str) -> Error {
    Error::Input {
        operation: "embedding".into(),
        name: name.into(),
        found: found.into(),
        allowed: allowed.into(),
    }
}

fn bad_id(row: usize, id: i32, rows: usize) -> Error {
    Error::Label {
        operation: "embedding".into(),
        row,
        label: id.into(),
        classes: rows,
        ignored: String::new(),
    }
}

fn check_sizes(rows: usize, width: usize) -> Result<()> {
    // Ids are labels of 31 bits, and the kernels count numbers in 32.
    for (name, size) in [("rows", rows), ("width", width)] {
        if size == 0 || size > i32::MAX as usize {
            return Err(Error::option("embedding", name, size, "from 1 to 2147483647"));
        }
    }
    let (numbers, most) = (rows as u64 * width as u64, u64::from(u32::MAX));
    if numbers > most {
        let advice = "use fewer rows or a smaller width".into();
        return Err(Error::TooLarge {
            name: "an embedding".into(),
            bytes: 4 * numbers,
            limit: 4 * most,
            advice,
        });
    }
    Ok(())
}

/// The ids, if all are in range.
fn checked(ids: &[i32], rows: usize) -> Result<&[i32]> {
    match ids.iter().position(|&id| id < 0 || id as usize >= rows) {
        None => Ok(ids),
        Some(at) => Err(bad_id(at, ids[at], rows)),
    }
}
