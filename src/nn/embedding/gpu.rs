//! The embedding table on a GPU.

use crate::Result;
use crate::nn::embedding::kernels::{RowStep, Sizes, Workspace, check, gather};
use crate::nn::optimizers::{MOST_STATES, Optimizer, Step};
use crate::runtime::device::Gpu;

/// Rows and optimizer states in buffers.
#[derive(Debug)]
pub(crate) struct Table {
    gpu: Gpu,
    parameters: wgpu::Buffer,
    states: Vec<wgpu::Buffer>,
    /// Dummy binding for missing states.
    dummy: wgpu::Buffer,
    /// (1 + position, id) of the first id out of range.
    found: wgpu::Buffer,
    /// The workspace and its number of ids, from the most recent update.
    workspace: Option<(usize, Workspace)>,
}

impl Table {
    pub fn new(gpu: &Gpu, values: Vec<f32>) -> Result<Self> {
        let dummy = gpu.buffer("no state", 64 * MOST_STATES)?;
        let found = gpu.upload("ids that name no row", &[0_u32; 4])?;
        let parameters = gpu.upload("an embedding", &values)?;
        Ok(Table {
            gpu: gpu.clone(),
            parameters,
            states: Vec::new(),
            dummy,
            found,
            workspace: None,
        })
    }

    /// Initializes the optimizer states.
    pub fn begin(&mut self, optimizer: &dyn Optimizer, length: usize) -> Result<()> {
        let first = optimizer.first_states::<f32>(length);
        self.states = first
            .iter()
            .map(|state| self.gpu.upload("optimizer states", state))
            .collect::<Result<_>>()?;
        Ok(())
    }

    pub fn gather(&self, sizes: &Sizes, ids: &wgpu::Buffer) -> Result<wgpu::Buffer> {
        let output = self.gpu.buffer("gathered rows", sizes.ids * sizes.width)?;
        let check = check(&self.gpu, sizes, ids, &self.found)?;
        let gather = gather(&self.gpu, sizes, [ids, &self.parameters, &output])?;
        self.gpu.submit(&[check, gather])?;
        Ok(output)
    }

    pub fn update(
        &mut self,
        sizes: &Sizes,
        ids: &wgpu::Buffer,
        gradients: &wgpu::Buffer,
        optimizer: &dyn Optimizer,
        step: &Step,
    ) -> Result<()> {
        if self.workspace.as_ref().is_none_or(|(ids, _)| *ids != sizes.ids) {
            self.workspace = Some((sizes.ids, Workspace::new(&self.gpu, sizes)?));
        }
        let Some((_, workspace)) = &self.workspace else { return Ok(()) };
        let (table, states, dummy) = (&self.parameters, &self.states[..], &self.dummy);
        let job = RowStep { sizes: *sizes, optimizer, table, states, dummy };
        let mut commands = vec![check(&self.gpu, sizes, ids, &self.found)?];
        commands.extend(workspace.update(&self.gpu, &job, ids, gradients)?.0);
        workspace.set(&self.gpu, sizes, step);
        self.gpu.submit(&commands)
    }

    /// Position and value of the first id out of range; resets the record.
    pub fn bad_id(&self) -> Result<Option<(usize, i32)>> {
        let found: Vec<u32> = pollster::block_on(self.gpu.download(&self.found, 0, 2))?;
        if found[0] == 0 {
            return Ok(None);
        }
        self.gpu.queue().write_buffer(&self.found, 0, &[0; 16]);
        Ok(Some((found[0] as usize - 1, found[1] as i32)))
    }

    pub fn download(&self, length: usize) -> Result<Vec<f32>> {
        pollster::block_on(self.gpu.download(&self.parameters, 0, length))
    }
}
