//! Sizes of windows: one number for both axes, or one for each.

use serde::{Deserialize, Serialize};

/// A size along height and width.
///
/// ```
/// use gradus::layers::Size;
/// assert_eq!(Size::from(3), Size::from([3, 3]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Size(pub(crate) [usize; 2]);

impl From<usize> for Size {
    fn from(size: usize) -> Self {
        Size([size; 2])
    }
}

impl From<[usize; 2]> for Size {
    fn from(size: [usize; 2]) -> Self {
        Size(size)
    }
}

/// Zeros around an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Rows above and below, columns left and right.
    Zeros([usize; 4]),
    /// As many that the output has the input's size divided by the stride, rounded up; the odd one
    /// is below and on the right, as in Keras and PyTorch.
    Same,
}

impl From<usize> for Padding {
    fn from(size: usize) -> Self {
        Padding::Zeros([size; 4])
    }
}

impl From<[usize; 2]> for Padding {
    /// Rows above and below, columns left and right.
    fn from([rows, columns]: [usize; 2]) -> Self {
        Padding::Zeros([rows, rows, columns, columns])
    }
}

impl From<[usize; 4]> for Padding {
    fn from(sizes: [usize; 4]) -> Self {
        Padding::Zeros(sizes)
    }
}
