//! Tensors of safetensors files as numbers.

use safetensors::tensor::{Dtype, TensorView};

/// The numbers of a tensor; `None` for another type.
pub(crate) fn numbers(view: &TensorView) -> Option<Vec<f64>> {
    fn read<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        data.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)).collect()
    }
    let data = view.data();
    Some(match view.dtype() {
        Dtype::F64 => read(data, f64::from_le_bytes),
        Dtype::F32 => read(data, |bytes| f64::from(f32::from_le_bytes(bytes))),
        Dtype::F16 => read(data, |bytes| half::f16::from_le_bytes(bytes).to_f64()),
        Dtype::BF16 => read(data, |bytes| half::bf16::from_le_bytes(bytes).to_f64()),
        _ => return None,
    })
}
