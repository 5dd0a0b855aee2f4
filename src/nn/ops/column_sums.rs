//! Sums of the columns of a matrix on a GPU, in an order that depends only on its sizes: slabs of
//! rows first, then slabs of these sums, until one is left. The gradient of a parameter that is
//! added to each row.

use crate::Result;
use crate::runtime::kernel::Program;
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};

const SUMS: File = shader!("ops/reduce/slab_sums.wgsl");
const SCALAR: File = shader!("ops/embedding/embedding_scalar.wgsl");
const VEC4: File = shader!("ops/embedding/embedding_vec4.wgsl");

/// Rows that one invocation adds up.
pub(crate) const SLAB: usize = 64;

/// The matrix, and the location of the sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnSums<'a> {
    pub rows: usize,
    pub columns: usize,
    pub numbers: &'a wgpu::Buffer,
    pub sums: &'a wgpu::Buffer,
    /// Element of `sums` that the first sum is written to.
    pub offset: usize,
    /// Add to `sums` instead of overwriting them.
    pub accumulate: bool,
}

/// The file that defines a cell as one number or as four.
pub(crate) fn cells_file(vec4: bool) -> File {
    if vec4 { VEC4 } else { SCALAR }
}

fn program(vec4: bool, lanes: f64) -> Program {
    Program::plain("sums of columns", &[SUMS, cells_file(vec4)], vec![("WORKGROUP", lanes)])
}

/// All programs of this file, for the shader checks.
pub(crate) fn programs() -> Vec<Program> {
    [(false, 8.0), (true, 8.0), (false, 64.0), (true, 64.0)]
        .map(|(vec4, lanes)| program(vec4, lanes))
        .into()
}

/// Records the sums of the columns.
pub(crate) fn column_sums(recorder: &mut Recorder, job: &ColumnSums) -> Result<()> {
    let gpu = recorder.gpu();
    let lanes = lanes_of(gpu.is_software());
    let vec4 = job.columns.is_multiple_of(4) && job.offset.is_multiple_of(4);
    let kernel = gpu.kernel(&program(vec4, lanes.into()))?;
    let numbers_of_cell = if vec4 { 4 } else { 1 };
    let (cells, offset) =
        ((job.columns / numbers_of_cell) as u32, (job.offset / numbers_of_cell) as u32);
    let (mut rows, mut from) = (job.rows, job.numbers.clone());
    while rows > SLAB {
        let slabs = rows.div_ceil(SLAB);
        let to = recorder.scratch("sums of slabs of rows", slabs * job.columns)?;
        let params = [rows as u32, cells, SLAB as u32, slabs as u32, 0, 0, 0, 0];
        let workgroups = (slabs as u32 * cells).div_ceil(lanes);
        recorder.dispatch(&kernel, &params, &[(&from).into(), (&to).into()], workgroups)?;
        (rows, from) = (slabs, to);
    }
    let params =
        [rows as u32, cells, rows.max(1) as u32, 1, offset, u32::from(job.accumulate), 0, 0];
    recorder.dispatch(&kernel, &params, &[(&from).into(), job.sums.into()], cells.div_ceil(lanes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::device::Gpu;

    #[test]
    fn sums_of_any_number_of_rows_are_written_or_added_at_their_place() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let gpu = Gpu::open().expect("these tests need an adapter, a software one will do");
        for (rows, columns) in [(1, 1), (64, 3), (65, 4), (4096, 8), (5000, 2)] {
            // Whole numbers: the sums are exact in any order.
            let number = |place: usize| (place * 7919 % 23) as f32 - 11.0;
            let numbers: Vec<f32> = (0..rows * columns).map(number).collect();
            let from = gpu.upload("numbers", &numbers).unwrap();
            for accumulate in [false, true] {
                let sums = gpu.upload("sums", &vec![0.5_f32; columns + 8]).unwrap();
                let commands = Recorder::commands_of(&gpu, |recorder| {
                    let (numbers, sums, offset) = (&from, &sums, 4);
                    column_sums(
                        recorder,
                        &ColumnSums { rows, columns, numbers, sums, offset, accumulate },
                    )
                });
                // Twice: what the first time left in scratch memory must not count.
                let commands = commands.unwrap();
                gpu.submit(&commands).unwrap();
                gpu.submit(&commands).unwrap();
                let found: Vec<f32> =
                    pollster::block_on(gpu.download(&sums, 0, columns + 8)).unwrap();
                let mut expected = vec![0.5_f32; columns + 8];
                for column in 0..columns {
                    let sum: f32 = numbers.iter().skip(column).step_by(columns).sum();
                    expected[4 + column] = if accumulate { 0.5 + 2.0 * sum } else { sum };
                }
                assert_eq!(found, expected, "{rows} x {columns}, {accumulate}");
            }
        }
    }
}
