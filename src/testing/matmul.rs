//! Checks of the matrix product, in the variants the device would select.

use ndarray::Array1;

use crate::cpu::matmul as host;
use crate::cpu::random::Random;
use crate::nn::activations;
use crate::nn::activations::activation::Activation;
use crate::nn::ops::matmul::kind::Kind;
use crate::nn::ops::matmul::product::product;
use crate::nn::ops::matmul::shape::Shape;
use crate::nn::ops::matmul::{Epilogue, Layout, Params};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Slice;
use crate::testing::report::{Bounded, FLUSHED, Report, ULP};
use crate::{Device, Result};

/// m, n, k: ones, multiples of four and others, one tile and several. The last two are split along
/// k on a GPU.
const SHAPES: [[u32; 3]; 7] = [
    [1, 1, 1],
    [5, 4, 7],
    [33, 65, 17],
    [20, 72, 36],
    [129, 10, 128],
    [64, 128, 784],
    [13, 10, 2050],
];

/// Multiplies matrices of many shapes in the three layouts, on a GPU with each epilogue of a dense
/// layer, and compares every element with the same sum in f64. One report per layout.
///
/// # Errors
/// Errors of the device.
pub fn check_matmul(device: &Device) -> Result<Vec<Report>> {
    let layouts = [
        ("matmul, forward", Layout::NN, Epilogue::Forward),
        ("matmul, gradient of the input", Layout::NT, Epilogue::InputGradient),
        ("matmul, gradient of the weights", Layout::TN, Epilogue::WeightGradient),
    ];
    let relu = activations::from_name("relu", &serde_json::Value::Null)?;
    let mut reports = Vec::new();
    for (name, layout, epilogue) in layouts {
        let mut report = Report::new(name.into());
        for [m, n, k] in SHAPES {
            let params = Params::new(Shape { m, n, k });
            let operands = Operands::draw(&params, layout);
            let (found, epilogue) = match device {
                Device::Gpu(gpu) => {
                    (operands.on_gpu(gpu, &params, layout, epilogue, &*relu)?, Some(epilogue))
                }
                Device::Cpu => (operands.on_host::<f32>(&params, layout)?, None),
                Device::Reference => (operands.on_host::<f64>(&params, layout)?, None),
            };
            let comparison = operands.expected(&params, layout, epilogue).compare(&found);
            report.add_value(&format!("{m} × {n} × {k}"), "product", comparison);
            report.cases += 1;
        }
        reports.push(report);
    }
    Ok(reports)
}

/// The operands of a product.
struct Operands {
    left: Vec<f32>,
    right: Vec<f32>,
    bias: Vec<f32>,
    /// The output of the layer below.
    activated: Vec<f32>,
}

impl Operands {
    fn draw(params: &Params, layout: Layout) -> Self {
        let mut random = Random::new(9, layout as u64);
        let mut draw = |length: u32| (0..length).map(|_| random.normal() as f32).collect();
        let (m, n, k) = (params.m, params.n, params.k);
        Operands { left: draw(m * k), right: draw(k * n), bias: draw(n), activated: draw(m * n) }
    }

    fn on_host<R: crate::cpu::real::Real>(
        &self,
        params: &Params,
        layout: Layout,
    ) -> Result<ndarray::ArrayD<f64>> {
        let layout = match layout {
            Layout::NN => host::Layout::NN,
            Layout::NT => host::Layout::NT,
            Layout::TN => host::Layout::TN,
        };
        let wide = |values: &[f32]| values.iter().map(|&x| R::from_f32(x)).collect::<Vec<_>>();
        let (m, n, k) = (params.m as usize, params.n as usize, params.k as usize);
        let mut output = vec![R::ZERO; m * n];
        host::matmul(layout, m, n, k, &wide(&self.left), &wide(&self.right), &mut output, false)?;
        Ok(Array1::from_iter(output.into_iter().map(R::to_f64)).into_dyn())
    }

    /// Each element as a separate sum. The f32 tolerance is half an ulp of the magnitudes for each
    /// of its k additions, and for bias and product of the epilogue.
    fn expected(&self, params: &Params, layout: Layout, epilogue: Option<Epilogue>) -> Bounded {
        let (m, n, k) = (params.m as usize, params.n as usize, params.k as usize);
        let left = |row: usize, t: usize| {
            self.left[if layout == Layout::TN { t * m + row } else { row * k + t }]
        };
        let right = |t: usize, column: usize| {
            self.right[if layout == Layout::NT { column * k + t } else { t * n + column }]
        };
        let (mut expected, mut tolerance) = (Vec::new(), Vec::new());
        for place in 0..m * n {
            let (row, column) = (place / n, place % n);
            let term = |t: usize| f64::from(left(row, t)) * f64::from(right(t, column));
            let mut value: f64 = (0..k).map(term).sum();
            let mut magnitude: f64 = (0..k).map(|t| term(t).abs()).sum();
            match epilogue {
                Some(Epilogue::Forward) => {
                    magnitude += f64::from(self.bias[column]).abs();
                    value = (value + f64::from(self.bias[column])).max(0.0);
                }
                Some(Epilogue::InputGradient) if self.activated[place] <= 0.0 => value = 0.0,
                _ => {}
            }
            expected.push(value);
            tolerance.push((k + 2) as f64 * 0.5 * ULP * magnitude + FLUSHED);
        }
        Bounded {
            expected: Array1::from(expected).into_dyn(),
            tolerance: Array1::from(tolerance).into_dyn(),
        }
    }

    fn on_gpu(
        &self,
        gpu: &Gpu,
        params: &Params,
        layout: Layout,
        epilogue: Epilogue,
        activation: &dyn Activation,
    ) -> Result<ndarray::ArrayD<f64>> {
        let activation = Some(activation).filter(|_| epilogue != Epilogue::WeightGradient);
        let kind = Kind { epilogue, activation, ..Kind::plain(layout) };
        let upload = |values: &[f32]| gpu.upload("a matrix", values);
        let length = (params.m * params.n) as usize;
        let (left, right, bias, activated) = (
            upload(&self.left)?,
            upload(&self.right)?,
            upload(&self.bias)?,
            upload(&self.activated)?,
        );
        let (output, kept) =
            (gpu.buffer("a product", length)?, gpu.buffer("what was activated", length)?);
        let buffers: &[&wgpu::Buffer] = match epilogue {
            Epilogue::Forward => &[&left, &right, &bias, &output, &kept],
            Epilogue::InputGradient => &[&left, &right, &output, &kept, &activated],
            Epilogue::WeightGradient => &[&left, &right, &output],
        };
        let storage: Vec<Slice> = buffers.iter().map(|&buffer| buffer.into()).collect();
        gpu.submit(&product(gpu, &kind, params, &storage)?)?;
        let found: Vec<f32> = pollster::block_on(gpu.download(&output, 0, length))?;
        Ok(Array1::from_iter(found.into_iter().map(f64::from)).into_dyn())
    }
}
