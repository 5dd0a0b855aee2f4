//! Tensors on a device, with one upload path and one download path.

use std::sync::Arc;

use half::f16;
use ndarray::{ArrayBase, ArrayD, ArrayViewD, Data, Dimension, IxDyn};

use crate::runtime::device::{Device, Gpu, Work};
use crate::{Error, Result};

/// Numbers or labels on a device, row-major. Cloning shares the memory; tensors are immutable
/// except for [`crate::Criterion::backward_in_place`].
#[derive(Clone, Debug)]
pub struct Tensor {
    device: Device,
    shape: Vec<usize>,
    pub(crate) storage: Storage,
}

/// Storage of a tensor's elements.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    /// f32 on a GPU.
    Gpu(wgpu::Buffer),
    /// i32 labels on a GPU.
    GpuLabels(wgpu::Buffer),
    /// f16 on a GPU, two per word.
    GpuHalf(wgpu::Buffer),
    /// f16 on the host, converted to f32 for arithmetic.
    Half(Arc<Vec<f16>>),
    F32(Arc<Vec<f32>>),
    F64(Arc<Vec<f64>>),
    Labels(Arc<Vec<i32>>),
}

impl Tensor {
    /// Uploads numbers. On the `reference` device they become f64.
    ///
    /// # Errors
    /// [`Error::TooLarge`] or [`Error::OutOfMemory`] if they do not fit on the device.
    pub fn from_array<'a>(device: &Device, values: impl Into<ArrayViewD<'a, f32>>) -> Result<Self> {
        let values = values.into();
        let shape = values.shape().to_vec();
        let standard = values.as_standard_layout();
        let flat = standard.as_slice().unwrap_or_default();
        let storage = match device {
            Device::Gpu(gpu) => Storage::Gpu(gpu.upload("a tensor", flat)?),
            Device::Cpu => Storage::F32(Arc::new(flat.to_vec())),
            Device::Reference => {
                Storage::F64(Arc::new(flat.iter().map(|&x| f64::from(x)).collect()))
            }
        };
        Ok(Tensor { device: device.clone(), shape, storage })
    }

    /// Uploads numbers in f16 ([`crate::f16`]), stored as f16: half the memory of f32.
    /// [`Criterion::backward`](crate::Criterion::backward) accepts them with dense targets in f16
    /// too, or with labels, computes in f32 and returns the gradient in f16.
    ///
    /// # Errors
    /// As [`Tensor::from_array`].
    ///
    /// # Example
    /// ```
    /// use gradus::{Device, Reduction, Tensor, f16, losses::{Huber, Loss}};
    /// use ndarray::array;
    ///
    /// let device = Device::cpu();
    /// let half = |x: [f32; 2]| Tensor::from_half(&device, array![f16::from_f32(x[0]), f16::from_f32(x[1])].view().into_dyn());
    /// let criterion = Huber::new().on(&device)?.reduction(Reduction::Sum);
    /// let step = criterion.backward(&half([0.1, 3.0])?, &half([0.0, 0.0])?)?;
    /// assert_eq!(step.gradient.to_half_array()?[0].to_f32(), 0.099975586); // 0.1 in f16
    /// assert_eq!(step.gradient.to_half_array()?[1], f16::ONE);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn from_half<'a>(device: &Device, values: impl Into<ArrayViewD<'a, f16>>) -> Result<Self> {
        let values = values.into();
        let flat: Vec<f16> = values.iter().copied().collect();
        let storage = match device {
            Device::Gpu(gpu) => {
                let word = |pair: &[f16]| {
                    pair.iter().rev().fold(0, |word, x| word << 16 | u32::from(x.to_bits()))
                };
                Storage::GpuHalf(
                    gpu.upload("a tensor of f16", &flat.chunks(2).map(word).collect::<Vec<u32>>())?,
                )
            }
            _ => Storage::Half(Arc::new(flat)),
        };
        Ok(Tensor { device: device.clone(), shape: values.shape().to_vec(), storage })
    }

    /// Uploads numbers rounded to f16, stored as by [`Tensor::from_half`]: to nearest, ties to
    /// even; from 65,520 on that is infinity, below 3e-8 it is 0.
    ///
    /// # Errors
    /// As [`Tensor::from_array`].
    pub fn from_array_as_half<'a>(
        device: &Device,
        values: impl Into<ArrayViewD<'a, f32>>,
    ) -> Result<Self> {
        Tensor::from_half(device, values.into().mapv(f16::from_f32).view())
    }

    /// Uploads class labels, one per row.
    ///
    /// # Errors
    /// [`Error::Label`] for a label outside 32 bits; [`Error::OutOfMemory`] if they do not fit on
    /// the device.
    pub fn from_labels(device: &Device, labels: &[i64]) -> Result<Self> {
        let narrow = narrow_labels(labels)?;
        let shape = vec![narrow.len()];
        let storage = match device {
            Device::Gpu(gpu) => Storage::GpuLabels(gpu.upload("labels", &narrow)?),
            _ => Storage::Labels(Arc::new(narrow)),
        };
        Ok(Tensor { device: device.clone(), shape, storage })
    }

    /// Uploads integers of any shape: multi-dimensional labels, lists of classes, sequence lengths.
    ///
    /// # Errors
    /// As [`Tensor::from_labels`].
    ///
    /// # Example
    /// ```
    /// use gradus::{Device, Tensor};
    /// use ndarray::array;
    ///
    /// let labels = Tensor::from_integers(&Device::cpu(), &array![[0_i64, 2], [1, -100]])?;
    /// assert_eq!((labels.shape(), labels.is_labels()), (&[2, 2][..], true));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn from_integers<S: Data<Elem = i64>, D: Dimension>(
        device: &Device,
        values: &ArrayBase<S, D>,
    ) -> Result<Self> {
        let flat: Vec<i64> = values.iter().copied().collect();
        Ok(Tensor { shape: values.shape().to_vec(), ..Tensor::from_labels(device, &flat)? })
    }

    /// Uploads a mask of any shape as integers: 1 where true, else 0.
    ///
    /// # Errors
    /// As [`Tensor::from_labels`].
    pub fn from_mask<S: Data<Elem = bool>, D: Dimension>(
        device: &Device,
        mask: &ArrayBase<S, D>,
    ) -> Result<Self> {
        let flat: Vec<i64> = mask.iter().map(|&keep| i64::from(keep)).collect();
        Ok(Tensor { shape: mask.shape().to_vec(), ..Tensor::from_labels(device, &flat)? })
    }

    pub(crate) fn new(device: &Device, shape: &[usize], storage: Storage) -> Self {
        Tensor { device: device.clone(), shape: shape.to_vec(), storage }
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True if there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tensor's device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// True if it holds integers (class labels, a mask) rather than floats.
    pub fn is_labels(&self) -> bool {
        matches!(self.storage, Storage::GpuLabels(_) | Storage::Labels(_))
    }

    /// True if it holds f16 numbers.
    pub fn is_half(&self) -> bool {
        matches!(self.storage, Storage::GpuHalf(_) | Storage::Half(_))
    }

    /// Downloads the elements of an f16 tensor, waiting for the work that computes them.
    ///
    /// # Errors
    /// Failures of that work; [`Error::Input`] for a tensor that is not f16.
    pub fn to_half_array(&self) -> Result<ArrayD<f16>> {
        if !self.is_half() {
            return Err(Error::Input {
                operation: "to_half_array".into(),
                name: "the tensor".into(),
                found: if self.is_labels() { "holds labels".into() } else { "holds f32".into() },
                allowed: "made with Tensor::from_half, or the gradient of such a one".into(),
            });
        }
        shaped(&self.shape, pollster::block_on(self.halves())?)
    }

    /// The elements in f16; empty for a tensor that is not f16.
    async fn halves(&self) -> Result<Vec<f16>> {
        match (&self.storage, &self.device) {
            (Storage::GpuHalf(buffer), Device::Gpu(gpu)) => {
                let words: Vec<u32> = gpu.download(buffer, 0, self.len().div_ceil(2)).await?;
                let both = words.into_iter().flat_map(|word| [word as u16, (word >> 16) as u16]);
                Ok(both.map(f16::from_bits).take(self.len()).collect())
            }
            (Storage::Half(values), _) => Ok(values.to_vec()),
            _ => Ok(Vec::new()),
        }
    }

    /// Downloads the elements, waiting for the work that computes them.
    ///
    /// # Errors
    /// Failures of that work; [`Error::Input`] for labels.
    pub fn to_array(&self) -> Result<ArrayD<f32>> {
        pollster::block_on(self.to_array_async())
    }

    /// As [`Tensor::to_array`], without blocking the executor's thread.
    ///
    /// # Errors
    /// As [`Tensor::to_array`].
    pub async fn to_array_async(&self) -> Result<ArrayD<f32>> {
        let flat = match (&self.storage, &self.device) {
            (Storage::Gpu(buffer), Device::Gpu(gpu)) => gpu.download(buffer, 0, self.len()).await?,
            (Storage::GpuHalf(_) | Storage::Half(_), _) => {
                self.halves().await?.into_iter().map(f16::to_f32).collect()
            }
            (Storage::F32(values), _) => values.to_vec(),
            (Storage::F64(values), _) => values.iter().map(|&x| x as f32).collect(),
            _ => {
                return Err(Error::Input {
                    operation: "to_array".into(),
                    name: "the tensor".into(),
                    found: "holds labels".into(),
                    allowed: "only numbers can be read as an array of f32".into(),
                });
            }
        };
        shaped(&self.shape, flat)
    }
}

impl Tensor {
    /// Downloads integers; empty for a tensor of floats.
    pub(crate) fn integers(&self) -> Result<Vec<i32>> {
        match (&self.storage, &self.device) {
            (Storage::GpuLabels(buffer), Device::Gpu(gpu)) => {
                pollster::block_on(gpu.download(buffer, 0, self.len()))
            }
            (Storage::Labels(values), _) => Ok(values.to_vec()),
            _ => Ok(Vec::new()),
        }
    }
}

/// An array of the given shape over its elements.
pub(crate) fn shaped<T>(shape: &[usize], flat: Vec<T>) -> Result<ArrayD<T>> {
    ArrayD::from_shape_vec(IxDyn(shape), flat).map_err(|error| Error::Shape {
        operation: "an array".into(),
        found: error.to_string(),
        allowed: format!("as many elements as {shape:?} has"),
    })
}

/// Labels converted to the kernels' i32.
pub(crate) fn narrow_labels(labels: &[i64]) -> Result<Vec<i32>> {
    labels
        .iter()
        .enumerate()
        .map(|(row, &label)| {
            i32::try_from(label).map_err(|_| Error::Label {
                operation: "labels".into(),
                row,
                label,
                classes: i32::MAX as usize,
                ignored: String::new(),
            })
        })
        .collect()
}

impl Gpu {
    /// A buffer of `elements` 4-byte elements, padded to 16 bytes so that kernels can read it as
    /// vec4.
    /// What stands in the place of an input that a call does not have. WGSL declares a binding for
    /// each input and wgpu wants a buffer at each, also where an `override` switches the reads off.
    /// A kernel that is dispatched with it must not read or write it.
    pub(crate) fn unread_binding(&self) -> Result<wgpu::Buffer> {
        self.buffer("an input that the call does not have", 4)
    }

    pub(crate) fn buffer(&self, purpose: &str, elements: usize) -> Result<wgpu::Buffer> {
        let size = padded(elements);
        self.room_for(purpose, size)?;
        let buffer = self.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some(purpose),
            size,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.check(purpose, size)?;
        Ok(buffer)
    }

    /// Uploads 4-byte elements into a new buffer.
    pub(crate) fn upload<T: bytemuck::Pod>(
        &self,
        purpose: &str,
        values: &[T],
    ) -> Result<wgpu::Buffer> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let size = padded(bytes.len() / 4);
        self.room_for(purpose, size)?;
        // Not `create_buffer_init`: it maps the buffer and panics if memory is exhausted.
        let buffer = self.buffer(purpose, bytes.len() / 4)?;
        self.queue().write_buffer(&buffer, 0, bytes);
        self.check(purpose, size)?;
        Ok(buffer)
    }

    fn room_for(&self, purpose: &str, size: u64) -> Result<()> {
        let limit = self.limits().max_buffer_size;
        if size > limit {
            let advice = "split the data, lower the batch size or take the device `cpu`".into();
            return Err(Error::TooLarge { name: purpose.into(), bytes: size, limit, advice });
        }
        Ok(())
    }

    /// Reads elements back: the only download path.
    pub(crate) async fn download<T: bytemuck::Pod>(
        &self,
        buffer: &wgpu::Buffer,
        first: usize,
        elements: usize,
    ) -> Result<Vec<T>> {
        if elements == 0 {
            return Ok(Vec::new());
        }
        let reading = self.begin_download(buffer, first, elements)?;
        self.finish_download(reading).await
    }

    /// Enqueues a copy of elements to host-readable memory, after all work so far. Does not wait.
    pub(crate) fn begin_download(
        &self,
        buffer: &wgpu::Buffer,
        first: usize,
        elements: usize,
    ) -> Result<Reading> {
        let size = 4 * elements as u64;
        let landing = self.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("read back"),
            size,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.check("reading a result", size)?;
        let mut encoder =
            self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, 4 * first as u64, &landing, 0, size);
        let submission = self.queue().submit([encoder.finish()]);
        self.submitted(&submission, Work::default());
        let (sender, receiver) = futures_intrusive::channel::shared::oneshot_channel();
        landing.slice(..).map_async(wgpu::MapMode::Read, move |outcome| {
            let _ = sender.send(outcome);
        });
        Ok(Reading { landing, submission, receiver })
    }

    /// Waits for a started download, and for nothing submitted after it.
    pub(crate) async fn finish_download<T: bytemuck::Pod>(
        &self,
        reading: Reading,
    ) -> Result<Vec<T>> {
        self.wait_for(Some(reading.submission))?;
        let refused = |message: String| Error::Gpu { kernel: "reading a result".into(), message };
        match reading.receiver.receive().await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(refused(error.to_string())),
            None => return Err(refused("the driver never answered".into())),
        }
        let view = reading
            .landing
            .slice(..)
            .get_mapped_range()
            .map_err(|error| refused(error.to_string()))?;
        let values = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        reading.landing.unmap();
        Ok(values)
    }
}

/// A download in flight.
#[derive(Debug)]
pub(crate) struct Reading {
    landing: wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
    receiver:
        futures_intrusive::channel::shared::OneshotReceiver<Result<(), wgpu::BufferAsyncError>>,
}

/// Buffer size in bytes for `elements` elements: a multiple of 16 and never 0, which cannot be
/// bound.
pub(crate) fn padded(elements: usize) -> u64 {
    (4 * elements as u64).next_multiple_of(16).max(16)
}
