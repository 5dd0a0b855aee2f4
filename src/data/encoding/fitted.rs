//! An encoding fitted on a table.

use serde::{Deserialize, Serialize};

use crate::data::encoding::feature::Feature;
use crate::data::encoding::target::kind::TargetEncoding;

/// Encodes the columns of a table as numbers: fitted on the training rows, saved with the model,
/// and applied to every other file.
///
/// * Numbers: (x − mean) / standard deviation, computed in f64 and rounded to f32 once; blanks are
///   filled with the median.
/// * `True` and `False`: 1 and 0; blanks are filled with the more frequent one.
/// * Words: one-hot, one column per word; beyond [`EncodingOptions::categories`](crate::data::EncodingOptions::categories) the most frequent
///   words have a column each and the others share one.
/// * Words that differ in nearly every row: left out.
/// * A single value in all rows, only blanks, or an unnamed row index: left out.
///
/// A column with blanks is followed by one that is 1 where a blank was filled. [`Encoding::report`]
/// describes the encoding of each column. Targets: [`TargetKind`](crate::data::TargetKind).
///
/// ```
/// use gradus::data::{Column, Encoding, EncodingOptions, Table};
///
/// let table = Table::new(vec![
///     Column::numbers("rooms", vec![3.0, f64::NAN, 5.0, 4.0]),
///     Column::words("ocean", ["near", "far", "near", "far"]),
///     Column::words("sold", ["yes", "no", "no", "yes"]),
/// ])?;
/// let encoding = Encoding::fit(&table, &[0, 1, 2, 3], &EncodingOptions::default().target("sold"))?;
/// let houses = encoding.apply(&table)?;
/// assert_eq!(houses.feature_names, ["rooms", "rooms is blank", "ocean=far", "ocean=near"]);
/// assert_eq!(houses.features.row(1).to_vec(), [0.0, 1.0, 1.0, 0.0]);
/// assert_eq!((houses.labels()?.to_vec(), houses.classes()?), (vec![1, 0, 0, 1], vec!["no".into(), "yes".into()]));
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoding {
    /// None if the rows came as arrays, which stay unchanged.
    pub(super) features: Option<Vec<Feature>>,
    /// True if the file had column names.
    pub(super) has_header: bool,
    pub(super) target: TargetEncoding,
    /// The column with the weight of each row in training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) weight: Option<String>,
}
