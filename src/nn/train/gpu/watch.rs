//! Watched updates on a GPU: their buffers, and what the host makes of their sums.

use crate::Result;
use crate::nn::ops::watch::{self, WatchParams, Watched};
use crate::nn::train::engine::Batch;
use crate::nn::train::gpu::plan::Planning;
use crate::nn::train::gpu::state::{GpuEngine, MOST_AT_ONCE, Watch};
use crate::nn::train::updates::UpdateSigns;

impl GpuEngine {
    /// Gets the buffers of watched updates ready, or gives them and their plans back.
    pub(super) fn set_watching(&mut self, watches: bool) -> Result<()> {
        let watches = watches && self.table.is_none();
        if watches && self.watch.is_none() {
            let (gpu, length) = (&self.gpu, self.graph.length);
            self.watch = Some(Watch {
                previous: gpu.buffer("the gradient before", length)?,
                before: gpu.buffer("the weights before an update", length)?,
                parts: gpu.buffer("sums of an update", 4 * watch::blocks(length))?,
                ring: gpu.buffer("sums of two submissions", 8 * MOST_AT_ONCE)?,
                last: None,
            });
        } else if !watches && self.watch.is_some() {
            // A plan holds a batch's values: two for one batch would take twice the memory.
            self.plans.retain(|key, _| !key.watched);
            self.watch = None;
        }
        Ok(())
    }

    /// The next update does not follow on the last watched one.
    pub(super) fn pause_watching(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.last = None;
        }
    }

    /// Adds the numbers of a submission's updates, from their sums.
    pub(super) fn add_watched(&mut self, batches: &[Batch], sums: &[f32]) {
        let Some(watch) = &mut self.watch else { return };
        for (batch, sums) in batches.iter().zip(sums.chunks_exact(4)) {
            if batch.update.is_none() {
                continue;
            }
            let [square, product, size, moved] =
                [sums[0], sums[1], sums[2], sums[3]].map(f64::from);
            self.updates.push(UpdateSigns::new(square, product, watch.last, [moved, size]));
            watch.last = Some(square);
        }
    }

    fn watched<'a>(&'a self, watch: &'a Watch) -> Watched<'a> {
        Watched {
            length: self.graph.length,
            parameters: &self.parameters,
            gradients: &self.gradients,
            previous: &watch.previous,
            before: &watch.before,
            parts: &watch.parts,
        }
    }

    /// Records the sums that precede an update, if it is watched.
    pub(super) fn watch_gradient(&self, planning: &mut Planning) -> Result<()> {
        if let Some(watch) = self.watch.as_ref().filter(|_| planning.key.watched) {
            let command = self.watched(watch).gradient(&self.gpu)?;
            planning.recorder.extend([command]);
        }
        Ok(())
    }

    /// Records the sum that follows it, and the summary in the update's slot.
    pub(super) fn watch_update(
        &self,
        planning: &mut Planning,
    ) -> Result<Option<(wgpu::Buffer, WatchParams)>> {
        let Some(watch) = self.watch.as_ref().filter(|_| planning.key.watched) else {
            return Ok(None);
        };
        let command = self.watched(watch).update(&self.gpu)?;
        planning.recorder.extend([command]);
        let uniforms = self.uniforms()?;
        let blocks = watch::blocks(self.graph.length) as u32;
        let storage = [(&watch.parts).into(), (&watch.ring).into()];
        let kernel = watch::summary(&self.gpu)?;
        planning.recorder.dispatch_stepped::<WatchParams>(&kernel, &uniforms, &storage, 1)?;
        Ok(Some((uniforms, WatchParams { blocks, slot: 0, reserved: [0; 2] })))
    }
}
