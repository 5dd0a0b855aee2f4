//! Side features on the device: expands hits of entities to hits of features, and recomputes
//! entities after each batch.

use crate::recommend::features::Features;
use crate::recommend::kernels::{PartsParams, share_program, sums_program};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Slice};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::{Error, Result};

/// The features of users or items, and the entity vectors they sum to.
#[derive(Debug)]
pub(super) struct Hybrid {
    params: PartsParams,
    /// Row starts, features and weights (CSR).
    parts: wgpu::Buffer,
    /// [entities, cells] of vec4.
    pub vectors: wgpu::Buffer,
    /// Largest multiplicity of one feature within an entity.
    pub repeats: usize,
}

/// Hits of features.
#[derive(Debug)]
pub(super) struct Shares {
    /// The command that generates them.
    pub command: Command,
    /// The feature of each hit, or none.
    pub rows: wgpu::Buffer,
    /// The weight of each hit.
    pub shares: wgpu::Buffer,
}

impl Hybrid {
    /// Uploads features.
    ///
    /// # Errors
    /// [`Error::Option`] for more features per entity than a software adapter can count; errors of
    /// the device.
    pub fn new(gpu: &Gpu, features: &Features, cells: usize) -> Result<Self> {
        let entities = features.entities();
        let most = (0..entities).map(|entity| features.of(entity).0.len()).max().unwrap_or(0);
        if gpu.is_software() && most > MAX_LOOP_ITERATIONS {
            let allowed =
                "fewer on a software adapter, whose loops end early; or take the device `cpu`";
            return Err(Error::option("recommend", "features of one user or item", most, allowed));
        }
        let (starts, ids, weights) = features.rows();
        let weights: Vec<u32> = weights.iter().map(|weight| weight.to_bits()).collect();
        let parts = gpu.upload("side features", &[starts, ids, &weights].concat())?;
        let vectors = gpu.buffer("entities", 4 * entities * cells)?;
        let repeats = (0..entities)
            .map(|entity| longest_run(features.of(entity).0))
            .max()
            .unwrap_or(0)
            .max(1);
        let [entities, entries, cells, most] =
            [entities, ids.len(), cells, most.max(1)].map(|number| number as u32);
        let params = PartsParams { entities, entries, cells, most, ..PartsParams::default() };
        Ok(Hybrid { params, parts, vectors, repeats })
    }

    /// The most features of any entity, at least 1.
    pub fn most(&self) -> u32 {
        self.params.most
    }

    /// Recomputes all entities from the features' rows; entities whose rows did not change get the
    /// same bits.
    pub fn sums(&self, gpu: &Gpu, rows: &wgpu::Buffer) -> Result<Command> {
        let lanes = lanes_of(gpu.is_software());
        let workgroups =
            (u64::from(self.params.entities) * u64::from(self.params.cells)).div_ceil(lanes.into());
        let storage = [&self.parts, rows, &self.vectors].map(Slice::from);
        gpu.dispatch(&gpu.kernel(&sums_program(lanes))?, &self.params, &storage, workgroups as u32)
    }

    /// Expands `count` hits of entities to hits of features.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more than 32 bits can count; errors of the device.
    pub fn shares(&self, gpu: &Gpu, hits: &wgpu::Buffer, count: usize) -> Result<Shares> {
        let places = count as u64 * u64::from(self.params.most);
        let (lane_count, limit) = (places * u64::from(self.params.cells), u64::from(u32::MAX));
        if lane_count > limit {
            let name = "the features that a batch of a recommender hits".into();
            let advice = "use a smaller `batch_size` or the device `cpu`".into();
            return Err(Error::TooLarge { name, bytes: 4 * lane_count, limit: 4 * limit, advice });
        }
        let rows = gpu.buffer("hits of features", places as usize)?;
        let shares = gpu.buffer("shares of features", places as usize)?;
        let lanes = lanes_of(gpu.is_software());
        let params = PartsParams { hits: count as u32, ..self.params };
        let storage = [&self.parts, hits, &rows, &shares].map(Slice::from);
        let workgroups = places.div_ceil(lanes.into()) as u32;
        let command =
            gpu.dispatch(&gpu.kernel(&share_program(lanes))?, &params, &storage, workgroups)?;
        Ok(Shares { command, rows, shares })
    }
}

/// The longest run of one number.
fn longest_run(ascending: &[u32]) -> usize {
    ascending.chunk_by(|a, b| a == b).map(<[u32]>::len).max().unwrap_or(0)
}
