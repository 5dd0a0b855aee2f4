//! A recommender on a GPU: an epoch is a chain of dispatches, read back once at its end.
//!
//! Each batch: its interactions are sampled side by side, the hits of users and of items are sorted by row, and each row that was hit goes
//! through its hits in their order. Nothing is added atomically: two runs give the same bits.

mod batches;
mod choosing;
mod hybrid;
#[cfg(test)]
mod hybrid_tests;
mod measuring;
#[cfg(test)]
mod measuring_tests;
mod ranking;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use crate::recommend::best::Scored;
use crate::recommend::engine::{Engine, Layout, LearningRatePolicy, State, Table, Tally};
use crate::recommend::features::Features;
use crate::recommend::interactions::Interactions;
use crate::recommend::metrics::{Convention, Metrics};
use crate::recommend::sampling::{LANES, Rules};
use crate::runtime::device::Gpu;
use crate::{Error, Result};

use batches::Batches;
use hybrid::Hybrid;

/// Both sides and the interactions on the device.
#[derive(Debug)]
pub(crate) struct GpuEngine {
    gpu: Gpu,
    layout: Layout,
    users: Rows,
    items: Rows,
    interactions: Option<Resident>,
    batches: Option<Batches>,
}

/// Users or items: [rows, cells] vectors of four, a row's components padded to a multiple of eight and then its bias.
#[derive(Debug)]
struct Rows {
    /// Users or items.
    entities: usize,
    /// What is trained: as many rows as entities, or as features.
    rows: usize,
    components: usize,
    parameters: wgpu::Buffer,
    /// The sums of the squares of the gradients.
    squares: wgpu::Buffer,
    /// Where entities are sums of features.
    hybrid: Option<Hybrid>,
}

/// Interactions as the kernels read them.
#[derive(Debug)]
struct Resident {
    count: usize,
    /// Starts, items, users, weights.
    known: wgpu::Buffer,
}

/// Vectors of four in a row.
fn cells(components: usize) -> usize {
    components.next_multiple_of(LANES) / 4 + 1
}

impl GpuEngine {
    /// Tables of zeros on the device.
    ///
    /// # Errors
    /// [`Error::TooLarge`] or [`Error::OutOfMemory`] if there is no room; what [`Hybrid::new`] says.
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

    fn cells(&self) -> usize {
        cells(self.layout.components)
    }
}

impl Rows {
    fn new(
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

    /// What an entity is: [entities, cells].
    fn vectors(&self) -> &wgpu::Buffer {
        self.hybrid.as_ref().map_or(&self.parameters, |hybrid| &hybrid.vectors)
    }

    fn length(&self) -> usize {
        self.rows * 4 * cells(self.components)
    }

    fn set(&self, gpu: &Gpu, table: &Table) -> Result<()> {
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
        // A square of 1, so that nothing is divided by 0 in the padding.
        write(&self.squares, &table.embedding_squares, &table.bias_squares, 1.0);
        gpu.check("rows", 8 * self.length() as u64)?;
        match &self.hybrid {
            Some(hybrid) => gpu.submit(&[hybrid.sums(gpu, &self.parameters)?]),
            None => Ok(()),
        }
    }

    /// Vectors and biases of one of the buffers.
    fn read(&self, gpu: &Gpu, buffer: &wgpu::Buffer) -> Result<(Vec<f32>, Vec<f32>)> {
        let flat: Vec<f32> = pollster::block_on(gpu.download(buffer, 0, self.length()))?;
        let rows = flat.chunks(4 * cells(self.components));
        let vectors = rows.clone().flat_map(|row| &row[..self.components]).copied().collect();
        Ok((vectors, rows.map(|row| row[row.len() - 4]).collect()))
    }

    fn table(&self, gpu: &Gpu) -> Result<Table> {
        let (embeddings, biases) = self.read(gpu, &self.parameters)?;
        let (embedding_squares, bias_squares) = self.read(gpu, &self.squares)?;
        let [embeddings, biases, embedding_squares, bias_squares] =
            [embeddings, biases, embedding_squares, bias_squares]
                .map(|list| list.into_iter().map(f64::from).collect());
        Ok(Table { embeddings, biases, embedding_squares, bias_squares })
    }
}

impl Engine for GpuEngine {
    fn set_state(&mut self, state: &State) -> Result<()> {
        self.users.set(&self.gpu, &state.users)?;
        self.items.set(&self.gpu, &state.items)
    }

    fn state(&self) -> Result<State> {
        Ok(State { users: self.users.table(&self.gpu)?, items: self.items.table(&self.gpu)? })
    }

    fn set_interactions(&mut self, interactions: Arc<Interactions>) -> Result<()> {
        let known = interactions.known();
        let weights: Vec<u32> = known.weights.iter().map(|weight| weight.to_bits()).collect();
        let words = [known.starts, known.items, known.users, &weights].concat();
        let known = self.gpu.upload("interactions", &words)?;
        (self.interactions, self.batches) =
            (Some(Resident { count: interactions.len(), known }), None);
        Ok(())
    }

    fn batches(
        &mut self,
        rules: &Rules,
        learning_rate_policy: &LearningRatePolicy,
        epoch: u32,
        which: Range<usize>,
        tally: &mut Tally,
    ) -> Result<()> {
        let gpu = self.gpu.clone();
        let Some(batches) = self.prepared(rules, learning_rate_policy)? else { return Ok(()) };
        let which = batches.within(which);
        batches.run(&gpu, rules, epoch, which.clone(), |_| Vec::new())?;
        batches.add_to(&gpu, which, tally)
    }

    fn is_finite(&self) -> Result<bool> {
        ranking::is_finite(self)
    }

    fn scores(&self, users: &[u32]) -> Result<Vec<f32>> {
        ranking::scores(self, users)
    }

    fn ranks(&self, wanted: &Interactions, excluded: Option<&Interactions>) -> Result<Vec<u32>> {
        ranking::ranks(self, wanted, excluded)
    }

    fn metrics(
        &self,
        convention: Convention,
        test: &Interactions,
        train: Option<&Interactions>,
        k: usize,
    ) -> Result<Metrics> {
        measuring::metrics(self, convention, test, train, k)
    }

    fn best(
        &self,
        users: &[u32],
        n: usize,
        seen: Option<&Interactions>,
    ) -> Result<Vec<Vec<Scored>>> {
        choosing::best_of(self, users, n, seen)
    }

    fn similar(&self, item: u32, n: usize) -> Result<Vec<Scored>> {
        choosing::similar(self, item, n)
    }
}
