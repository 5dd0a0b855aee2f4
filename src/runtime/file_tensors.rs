//! Tensors of safetensors files: as numbers, and the checksum of a saved model.

use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, View};

use crate::runtime::cache::Fingerprint;
use crate::{Error, Result};

/// The last field of a description, up to its digits.
const FIELD: &str = ",\"checksum\":\"";

/// Hexadecimal digits of a checksum.
const DIGITS: usize = 16;

/// What follows the digits.
const END: &str = "\"}";

/// A description, which is a JSON object, with one more field at its end: the checksum of itself and
/// of the tensors. Readers that do not know the field ignore it.
///
/// It is FNV-1a of 64 bits, which differs whenever a single byte does: each step is a bijection of
/// the hash so far.
pub(crate) fn sealed<'t>(
    description: &str,
    tensors: impl IntoIterator<Item = (&'t str, impl View)>,
) -> String {
    let tensors = tensors.into_iter().collect();
    let open = description.strip_suffix('}').unwrap_or(description);
    format!("{open}{FIELD}{:0DIGITS$x}{END}", checksum(description, tensors))
}

/// Rejects a file whose bytes have changed since it was saved. A file without a checksum, of an
/// earlier version, passes.
///
/// # Errors
/// [`Error::Data`] with the path.
pub(crate) fn check_seal(path: &Path, text: &str, tensors: &SafeTensors) -> Result<()> {
    let refused = |found: String| {
        Err(Error::Data {
            path: path.into(),
            position: "the checksum".into(),
            found,
            expected: "the bytes that were saved; copy the file again from where it is whole, or save the model again"
                .into(),
        })
    };
    let length = FIELD.len() + DIGITS + END.len();
    let Some((open, seal)) =
        text.len().checked_sub(length).and_then(|end| text.split_at_checked(end))
    else {
        return Ok(());
    };
    let digits = seal.strip_prefix(FIELD).and_then(|rest| rest.strip_suffix(END));
    let Some(digits) = digits else {
        // A field that is nearly there was damaged itself.
        let ends = [
            (&seal.as_bytes()[..FIELD.len()], FIELD),
            (&seal.as_bytes()[FIELD.len() + DIGITS..], END),
        ];
        let alike = |(found, field): (&[u8], &str)| {
            found.iter().zip(field.bytes()).filter(|(found, byte)| **found == *byte).count()
        };
        let same: usize = ends.into_iter().map(alike).sum();
        return match same + 2 >= FIELD.len() + END.len() {
            true => refused(format!("`{seal}`, which is damaged")),
            false => Ok(()),
        };
    };
    let views = tensors.tensors();
    let all = views.iter().map(|(name, view)| (name.as_str(), view)).collect();
    let found = format!("{:0DIGITS$x}", checksum(&format!("{open}}}"), all));
    match found == digits {
        true => Ok(()),
        false => refused(format!(
            "the file's content has {found} and was saved with {digits}: it has changed"
        )),
    }
}

/// Of the description, and of names, types, shapes and bytes of the tensors in the order of the
/// names.
fn checksum(description: &str, mut tensors: Vec<(&str, impl View)>) -> u64 {
    tensors.sort_by_key(|(name, _)| *name);
    let mut all = Fingerprint::new();
    all.add(description.as_bytes());
    for (name, view) in tensors {
        all.add(format!("{name} {} {:?}", type_name(view.dtype()), view.shape()).as_bytes());
        all.add(&view.data());
    }
    all.value()
}

/// Not the type's own `Debug`, which another version of its crate may word in another way.
fn type_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F64 => "F64",
        Dtype::F32 => "F32",
        Dtype::F16 => "F16",
        Dtype::BF16 => "BF16",
        _ => "other",
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(text: &str, numbers: &[u8]) -> Vec<u8> {
        let view = TensorView::new(Dtype::U8, vec![numbers.len()], numbers).unwrap();
        let metadata = std::collections::HashMap::from([("gradus".to_string(), text.to_string())]);
        safetensors::serialize([("a", view)], Some(metadata)).unwrap()
    }

    fn checked(bytes: &[u8]) -> Option<Result<()>> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
        let text = metadata.metadata().as_ref()?.get("gradus")?.clone();
        let tensors = SafeTensors::deserialize(bytes).ok()?;
        // A reader refuses what is no JSON.
        serde_json::from_str::<serde_json::Value>(&text).ok()?;
        Some(check_seal(Path::new("m"), &text, &tensors))
    }

    #[test]
    fn each_flipped_bit_is_found_and_a_file_without_checksum_passes() {
        let (text, numbers) = (r#"{"version":1,"seed":7}"#, [1, 2, 3, 250]);
        assert!(checked(&saved(text, &numbers)).unwrap().is_ok());
        let view = TensorView::new(Dtype::U8, vec![4], &numbers).unwrap();
        let sealed = sealed(text, [("a", &view)]);
        assert!(
            serde_json::from_str::<serde_json::Value>(&sealed).unwrap()["checksum"].is_string()
        );
        let whole = saved(&sealed, &numbers);
        assert!(checked(&whole).unwrap().is_ok());
        for bit in 0..8 * whole.len() {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // The header's own damage is an error of its reader, or of one that misses the key;
            // blanks behind it mean nothing.
            if let Some(found) = checked(&damaged) {
                let same = SafeTensors::deserialize(&damaged).is_ok_and(|tensors| {
                    let (_, metadata) = SafeTensors::read_metadata(&damaged).unwrap();
                    metadata.metadata().as_ref().unwrap()["gradus"] == sealed
                        && tensors.tensor("a").is_ok_and(|a| a.data() == numbers)
                });
                assert!(found.is_err() || same, "bit {bit}");
            }
        }
        let error = checked(&saved(&sealed, &[1, 2, 3, 251])).unwrap().unwrap_err().to_string();
        assert!(error.contains("m: at the checksum") && error.contains("copy the file"), "{error}");
    }
}
