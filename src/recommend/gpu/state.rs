//! Users, items and interactions on a GPU.

use std::sync::Arc;

use crate::recommend::engine::{Layout, Table};
use crate::recommend::features::Features;
use crate::recommend::gpu::hybrid::Hybrid;
use crate::recommend::kernels::{BatchParams, Choice};
use crate::recommend::sampling::LANES;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Command;
use crate::{Error, Result};

/// Both sides and the interactions on the device.
#[derive(Debug)]
pub(crate) struct GpuEngine {
    pub(super) gpu: Gpu,
    pub(super) layout: Layout,
    pub(super) users: Rows,
    pub(super) items: Rows,
    pub(super) interactions: Option<Resident>,
    pub(super) batches: Option<Batches>,
}

/// Users or items: [rows, cells] of vec4, a row's components padded to a multiple of eight, then
/// its bias.
#[derive(Debug)]
pub(super) struct Rows {
    /// Users or items.
    pub(super) entities: usize,
    /// Trained rows: one per entity, or one per feature.
    pub(super) rows: usize,
    pub(super) components: usize,
    pub(super) parameters: wgpu::Buffer,
    /// Sums of squared gradients.
    pub(super) squares: wgpu::Buffer,
    /// Present if entities are sums of features.
    pub(super) hybrid: Option<Hybrid>,
}

/// Interactions on the device.
#[derive(Debug)]
pub(super) struct Resident {
    pub(super) count: usize,
    /// Starts, items, users, weights.
    pub(super) known: wgpu::Buffer,
}

/// Number of vec4 per row.
pub(super) fn cells(components: usize) -> usize {
    components.next_multiple_of(LANES) / 4 + 1
}

impl GpuEngine {
    /// Zero-initialized tables on the device.
    ///
    /// # Errors
    /// [`Error::TooLarge`] or [`Error::OutOfMemory`] if they do not fit; errors of [`Hybrid::new`].
    pub fn new(layout: Layout, gpu: &Gpu) -> Result<Self> {
        let rows = |count: u32, features: &Option<Arc<Features>>| {
            Rows::new(gpu, count as usize, layout.components, features.as_deref())
        };
        let (users, items) = (
            rows(layout.users, &layout.user_features)?,
            rows(layout.items, &layout.item_features)?,
        );
        Ok(GpuEngine { gpu: gpu.clone(), layout, users, items, interactions: None, batches: None })
    }

    pub(super) fn cells(&self) -> usize {
        cells(self.layout.components)
    }
}

impl Rows {
    pub(super) fn new(
        gpu: &Gpu,
        entities: usize,
        components: usize,
        features: Option<&Features>,
    ) -> Result<Self> {
        let rows = features.map_or(entities, Features::features);
        let length = rows * 4 * cells(components);
        if u32::try_from(length.max(entities * 4 * cells(components))).is_err() {
            let (bytes, limit) = (4 * length as u64, 4 * u64::from(u32::MAX));
            let advice = "use fewer components or the device `cpu`".into();
            return Err(Error::TooLarge {
                name: "the rows of a recommender".into(),
                bytes,
                limit,
                advice,
            });
        }
        let parameters = gpu.buffer("rows", length)?;
        let squares = gpu.buffer("squares of gradients", length)?;
        let hybrid =
            features.map(|features| Hybrid::new(gpu, features, cells(components))).transpose()?;
        Ok(Rows { entities, rows, components, parameters, squares, hybrid })
    }

    /// Entity vectors: [entities, cells].
    pub(super) fn vectors(&self) -> &wgpu::Buffer {
        self.hybrid.as_ref().map_or(&self.parameters, |hybrid| &hybrid.vectors)
    }

    pub(super) fn length(&self) -> usize {
        self.rows * 4 * cells(self.components)
    }

    pub(super) fn set(&self, gpu: &Gpu, table: &Table) -> Result<()> {
        let write = |buffer: &wgpu::Buffer, vectors: &[f64], biases: &[f64], padding: f32| {
            let width = 4 * cells(self.components);
            let mut flat = vec![padding; self.length()];
            for ((row, vector), &bias) in
                flat.chunks_mut(width).zip(vectors.chunks(self.components)).zip(biases)
            {
                row.iter_mut().zip(vector).for_each(|(slot, &x)| *slot = x as f32);
                row[width - 4] = bias as f32;
            }
            gpu.queue().write_buffer(buffer, 0, bytemuck::cast_slice(&flat));
        };
        write(&self.parameters, &table.embeddings, &table.biases, 0.0);
        // Squares are padded with 1, to avoid a division by 0.
        write(&self.squares, &table.embedding_squares, &table.bias_squares, 1.0);
        gpu.check("rows", 8 * self.length() as u64)?;
        match &self.hybrid {
            Some(hybrid) => gpu.submit(&[hybrid.sums(gpu, &self.parameters)?]),
            None => Ok(()),
        }
    }

    /// Vectors and biases from one of the buffers.
    pub(super) fn read(&self, gpu: &Gpu, buffer: &wgpu::Buffer) -> Result<(Vec<f32>, Vec<f32>)> {
        let flat: Vec<f32> = pollster::block_on(gpu.download(buffer, 0, self.length()))?;
        let rows = flat.chunks(4 * cells(self.components));
        let vectors = rows.clone().flat_map(|row| &row[..self.components]).copied().collect();
        Ok((vectors, rows.map(|row| row[row.len() - 4]).collect()))
    }

    pub(super) fn table(&self, gpu: &Gpu) -> Result<Table> {
        let (embeddings, biases) = self.read(gpu, &self.parameters)?;
        let (embedding_squares, bias_squares) = self.read(gpu, &self.squares)?;
        let [embeddings, biases, embedding_squares, bias_squares] =
            [embeddings, biases, embedding_squares, bias_squares]
                .map(|list| list.into_iter().map(f64::from).collect());
        Ok(Table { embeddings, biases, embedding_squares, bias_squares, ..Table::default() })
    }
}

/// The commands of a batch and their buffers.
#[derive(Debug)]
pub(super) struct Batches {
    pub(super) choice: Choice,
    /// Parameters shared by all batches.
    pub(super) params: BatchParams,
    pub(super) rank_weights: Vec<f32>,
    /// Each with a flag: true if it reads the uniform of its batch.
    pub(super) commands: Vec<(Command, bool)>,
    pub(super) uniform: wgpu::Buffer,
    /// (loss, draws, updates, draws ÷ 2³²) of each batch.
    pub(super) tallies: wgpu::Buffer,
    /// (positive, negative, draws, step) of each interaction of the batch.
    pub(super) records: wgpu::Buffer,
}
