//! Commands of per-tensor rules: see `optimizers::per_tensor`.

use crate::Result;
use crate::nn::ops::matmul::kind::Kind;
use crate::nn::ops::matmul::product::product;
use crate::nn::ops::matmul::{Layout, Params};
use crate::nn::optimizers::span::ParameterSpan;
use crate::nn::optimizers::step::NewtonSchulz;
use crate::nn::optimizers::update::job::{
    BLOCKS, Buffers, EACH, Update, span_words, summing_lanes,
};
use crate::nn::optimizers::update::maker::{Maker, state_slices};
use crate::nn::optimizers::update::programs::*;
use crate::runtime::kernel::Slice;

impl Maker<'_> {
    /// Norms of the parameters and gradients of each tensor, or clipping factors.
    pub(crate) fn tensor_norms(&mut self, factors: bool, joined: &wgpu::Buffer) -> Result<()> {
        let lanes = summing_lanes(self.gpu);
        let count = self.update.gradient_transform.spans.len();
        let Buffers { spans, parameters, gradients, .. } = *self.buffers;
        let partials = self.gpu.buffer("partial sums of norms", 4 * count * BLOCKS)?;
        let storage = [spans, parameters, gradients, &partials].map(Slice::from);
        self.stepped(&tensor_norms_program(lanes, factors), &storage, count * BLOCKS)?;
        self.stepped(
            &tensor_norms_join_program(factors),
            &[(&partials).into(), joined.into()],
            count.div_ceil(64),
        )
    }

    pub(crate) fn tensor_directions(&mut self, factored: bool) -> Result<()> {
        let Update { optimizer, length, gradient_transform, .. } = *self.update;
        let lanes = summing_lanes(self.gpu);
        let workgroups = length.div_ceil(EACH as usize);
        let Buffers { spans, parameters, gradients, .. } = *self.buffers;
        let (dummy, factors) = (self.dummy()?, self.factors.clone());
        let storage = [spans, parameters, gradients, &factors].map(Slice::from);
        self.stepped(&transform_program(&gradient_transform, EACH), &storage, workgroups)?;
        let buffers = *self.buffers;
        let states = state_slices(&buffers, self.update, &dummy, 3);
        if factored {
            let lines = lines(gradient_transform.spans);
            let storage = [spans.into(), gradients.into(), states[0], states[1], (&factors).into()];
            self.stepped(
                &means_program(TENSOR_MEANS, &gradient_transform, lanes),
                &storage,
                lines.max(1),
            )?;
            let storage = [spans.into(), states[0], states[2], (&factors).into()];
            let program = means_program(TENSOR_MEAN_OF_ROWS, &gradient_transform, lanes);
            self.stepped(&program, &storage, gradient_transform.spans.len())?;
        }
        let storage = [
            spans.into(),
            parameters.into(),
            gradients.into(),
            states[0],
            states[1],
            states[2],
            (&factors).into(),
        ];
        self.stepped(&direction_program(optimizer, &gradient_transform, EACH), &storage, workgroups)
    }

    /// Orthogonalises the direction of every matrix: see `optimizers::per_tensor`.
    pub(crate) fn orthogonalize(&mut self, newton_schulz: &NewtonSchulz) -> Result<()> {
        let norms = self.gpu.buffer("norms", 2 * self.update.gradient_transform.spans.len())?;
        self.tensor_norms(false, &norms)?;
        let mut start = 0;
        for (number, span) in self.update.gradient_transform.spans.iter().enumerate() {
            if span.columns > 0 && !span.is_frozen() {
                let [rows, columns] = span.shape(span.end - start - span.padding);
                let matrix = Matrix { rows, columns, start, number };
                self.orthogonalize_one(newton_schulz, &matrix, &norms)?;
            }
            start = span.end;
        }
        Ok(())
    }

    fn orthogonalize_one(
        &mut self,
        newton_schulz: &NewtonSchulz,
        &Matrix { rows, columns, start, number }: &Matrix,
        norms: &wgpu::Buffer,
    ) -> Result<()> {
        let gpu = self.gpu;
        let matrix = self.buffers.gradients;
        let (side, length) = (rows.min(columns), rows * columns);
        let [a, b, c] = newton_schulz.coefficients;
        let [gram, squared, next] = [
            ("a Gram matrix", side * side),
            ("its square", side * side),
            ("the next matrix", length),
        ]
        .map(|(purpose, length)| gpu.buffer(purpose, length));
        let (gram, squared, next) = (gram?, squared?, next?);
        let combine = |left: &wgpu::Buffer,
                       at: usize,
                       right: &wgpu::Buffer,
                       length: usize,
                       factors: [f64; 2]| {
            let params = CombineParams::new(length, at, factors);
            let kernel = gpu.kernel(&combine_program(false))?;
            gpu.dispatch(&kernel, &params, &[left.into(), right.into()], length.div_ceil(64) as u32)
        };
        let scaled = CombineParams::new(length, start, [number as f64, newton_schulz.epsilon]);
        let kernel = gpu.kernel(&combine_program(true))?;
        let storage = [matrix.into(), norms.into()];
        let command = gpu.dispatch(&kernel, &scaled, &storage, length.div_ceil(64) as u32)?;
        self.fixed([command]);
        let (m, k) = (side as u32, rows.max(columns) as u32);
        let (offset, is_tall) = (start as u32, rows > columns);
        for _ in 0..newton_schulz.steps {
            let outer = if is_tall { Layout::TN } else { Layout::NT };
            let params = Params {
                m,
                n: m,
                k,
                left_offset: offset,
                right_offset: offset,
                ..Params::default()
            };
            let storage = [matrix.into(), matrix.into(), (&gram).into()];
            self.fixed(product(gpu, &Kind::plain(outer), &params, &storage)?);
            let params = Params { m, n: m, k: m, ..Params::default() };
            let storage = [(&gram).into(), (&gram).into(), (&squared).into()];
            self.fixed(product(gpu, &Kind::plain(Layout::NN), &params, &storage)?);
            self.fixed([combine(&gram, 0, &squared, side * side, [b, c])?]);
            let params = Params { m: rows as u32, n: columns as u32, k: m, ..Params::default() };
            let (params, storage) = match is_tall {
                true => (
                    Params { left_offset: offset, ..params },
                    [matrix.into(), (&gram).into(), (&next).into()],
                ),
                false => (
                    Params { right_offset: offset, ..params },
                    [(&gram).into(), matrix.into(), (&next).into()],
                ),
            };
            self.fixed(product(gpu, &Kind::plain(Layout::NN), &params, &storage)?);
            self.fixed([combine(matrix, start, &next, length, [a, 1.0])?]);
        }
        Ok(())
    }

    pub(crate) fn tensor_apply_update(&mut self) -> Result<()> {
        let Update { optimizer, length, gradient_transform, .. } = *self.update;
        let norms = self.gpu.buffer("norms", 2 * gradient_transform.spans.len())?;
        self.tensor_norms(false, &norms)?;
        let factors = self.factors.clone();
        let Buffers { spans, parameters, gradients, .. } = *self.buffers;
        let storage = [spans, parameters, gradients, &norms, &factors].map(Slice::from);
        self.stepped(
            &apply_update_program(optimizer, &gradient_transform, EACH),
            &storage,
            length.div_ceil(EACH as usize),
        )
    }
}

/// Total rows and columns of all matrices.
pub(crate) fn lines(spans: &[ParameterSpan]) -> usize {
    span_words(spans).last().map_or(0, |&lines| lines as usize)
}

/// A matrix among the parameters.
struct Matrix {
    rows: usize,
    columns: usize,
    /// Its first element in the buffer of all parameters.
    start: usize,
    /// The number of its parameter span: the place of its norm.
    number: usize,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct CombineParams {
    pub length: u32,
    pub offset: u32,
    pub factors: [f32; 2],
}

impl CombineParams {
    fn new(length: usize, offset: usize, factors: [f64; 2]) -> Self {
        CombineParams {
            length: length as u32,
            offset: offset as u32,
            factors: factors.map(|factor| factor as f32),
        }
    }
}
