//! Loss by true and predicted class.

use crate::explain::checks::check_losses;
use crate::{Result, RowClasses};

/// The rows of one class that are predicted as one class.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LossCell {
    /// The class of the target.
    pub target: usize,
    /// The class that is predicted; the same for rows that are right.
    pub predicted: usize,
    /// Number of rows.
    pub rows: usize,
    /// Their mean loss.
    pub mean_loss: f64,
    /// Their part of the sum of all losses; 0 if that sum is 0.
    pub share: f64,
}

/// The cells of the confusion matrix that have rows, those with the largest share of the loss first;
/// equal ones in order of target and prediction.
///
/// ```
/// use gradus::explain::loss_cells;
/// use gradus::{Dense, Device, Sequential, losses::CrossEntropy, optimizers::Adam};
/// use ndarray::array;
/// let mut model = Sequential::new(1)
///     .then(Dense::new(2))
///     .on(&Device::cpu())?
///     .compile(CrossEntropy::new(), Adam::new())?;
/// let found = model.evaluate_rows(&array![[0.0_f32], [0.0], [0.0]], &array![0_i64, 1, 1])?;
/// // The outputs are equal: class 0 is predicted, and each row has the same loss.
/// let cells = loss_cells(&found.loss, found.classes.as_ref().unwrap())?;
/// assert_eq!((cells[0].target, cells[0].predicted, cells[0].rows), (1, 0, 2));
/// assert!((cells[0].share - 2.0 / 3.0).abs() < 1e-6);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// [`crate::Error::Shape`] if the numbers of losses and rows differ, [`crate::Error::Empty`] without
/// rows, [`crate::Error::NonFinite`] for a loss that is not finite.
pub fn loss_cells(losses: &[f64], classes: &RowClasses) -> Result<Vec<LossCell>> {
    check_losses("loss_cells", losses, classes.target.len())?;
    let count = classes.count;
    let mut sums = vec![(0, 0.0); count * count];
    for ((&target, &predicted), loss) in classes.target.iter().zip(&classes.predicted).zip(losses) {
        let (rows, sum) = &mut sums[target * count + predicted];
        *rows += 1;
        *sum += loss;
    }
    let all: f64 = sums.iter().map(|(_, sum)| sum).sum();
    let share = |sum: f64| if all == 0.0 { 0.0 } else { sum / all };
    let cell = |(place, &(rows, sum)): (usize, &(usize, f64))| LossCell {
        target: place / count,
        predicted: place % count,
        rows,
        mean_loss: sum / rows.max(1) as f64,
        share: share(sum),
    };
    let mut cells: Vec<LossCell> =
        sums.iter().enumerate().map(cell).filter(|cell| cell.rows > 0).collect();
    cells.sort_by(|a, b| b.share.total_cmp(&a.share));
    Ok(cells)
}
