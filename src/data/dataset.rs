//! Data set: rows of features with targets, returned by the readers and taken by training.

use std::path::Path;

use ndarray::{Array1, Array2, Axis, s};

use crate::data::shuffle::shuffled_rows;
use crate::{Error, Result};

/// Larger labels are rejected as implausible classes, before memory is allocated for them.
const MOST_CLASSES: i64 = 1 << 20;

/// Up to this number f32 represents every whole number.
const LARGEST_WHOLE: f32 = 16_777_216.0;

/// Targets of the predictions.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A class for each row.
    Labels {
        /// The class of each row, an index into `classes`.
        labels: Array1<i64>,
        /// Class names; class numbers if the file has no names.
        classes: Vec<String>,
    },
    /// One or several numbers per row.
    Values(Array2<f32>),
    /// No targets: the rows are to be predicted.
    None,
}

/// Rows of features with their targets.
///
/// ```
/// use gradus::data::{Dataset, Target};
/// use ndarray::array;
///
/// let target = Target::Values(array![[0.0], [2.0], [1.0]]);
/// let dataset = Dataset::new(array![[0.1], [0.2], [0.3]], target)?;
/// assert_eq!(dataset.labels()?, array![0, 2, 1]);
/// assert_eq!(dataset.one_hot()?.row(1), array![0.0, 0.0, 1.0]);
/// let (train, validation) = dataset.split(0.34)?;
/// assert_eq!((train.rows(), validation.rows()), (2, 1));
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Features, one row per sample.
    pub features: Array2<f32>,
    /// Targets of the predictions.
    pub target: Target,
    /// The name of each column.
    pub feature_names: Vec<String>,
    /// Number of rows of each query, in order; none if the rows are independent.
    pub groups: Option<Vec<usize>>,
}

impl Dataset {
    /// Features and targets with equal numbers of rows; the columns are named by their indices.
    ///
    /// # Errors
    /// [`Error::Shape`] if the numbers of rows differ.
    pub fn new(features: Array2<f32>, target: Target) -> Result<Self> {
        let feature_names = (0..features.ncols()).map(|column| column.to_string()).collect();
        Self::with_names(features, target, feature_names)
    }

    /// As [`Dataset::new`], with given column names: for millions of columns the names take most of
    /// the memory, so they are made only once.
    pub(crate) fn with_names(
        features: Array2<f32>,
        target: Target,
        feature_names: Vec<String>,
    ) -> Result<Self> {
        let (rows, shape) = match &target {
            Target::Labels { labels, .. } => (labels.len(), format!("{:?}", labels.shape())),
            Target::Values(values) => (values.nrows(), format!("{:?}", values.shape())),
            Target::None => (features.nrows(), String::new()),
        };
        if rows != features.nrows() {
            return Err(Error::Shape {
                operation: "data".into(),
                found: format!("features are {:?} but targets are {shape}", features.shape()),
                allowed: "there must be one target for each row".into(),
            });
        }
        Ok(Dataset { features, target, feature_names, groups: None })
    }

    /// Concatenates rows with the same columns and classes.
    #[cfg(feature = "data")]
    pub(super) fn joined(mut parts: Vec<Dataset>) -> Result<Dataset> {
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        let rows: usize = parts.iter().map(Dataset::rows).sum();
        let Some(first) = parts.first() else {
            return Err(Error::Empty { operation: "data".into(), name: "the rows".into() });
        };
        let (width, names, groups) = (first.features.ncols(), first.feature_names.clone(), None);
        let mut features = Array2::zeros((0, width));
        features.reserve_rows(rows).map_err(joined_shape)?;
        let mut target = match &first.target {
            Target::Labels { classes, .. } => {
                Target::Labels { labels: Array1::zeros(0), classes: classes.clone() }
            }
            Target::Values(values) => Target::Values(Array2::zeros((0, values.ncols()))),
            Target::None => Target::None,
        };
        for part in parts {
            features.append(Axis(0), part.features.view()).map_err(joined_shape)?;
            match (&mut target, &part.target) {
                (Target::Labels { labels, .. }, Target::Labels { labels: more, .. }) => {
                    labels.append(Axis(0), more.view()).map_err(joined_shape)?;
                }
                (Target::Values(values), Target::Values(more)) => {
                    values.append(Axis(0), more.view()).map_err(joined_shape)?;
                }
                _ => {}
            }
        }
        Ok(Dataset { features, target, feature_names: names, groups })
    }

    /// Number of samples.
    pub fn rows(&self) -> usize {
        self.features.nrows()
    }

    /// The features as pixels, if each is a byte divided by 255, as from IDX files:
    /// [`crate::Model::fit`] takes them to the same bits, with a byte for each on the device.
    pub fn pixels(&self) -> Option<Array2<u8>> {
        let of = |x: f32| {
            let pixel = (255.0 * x).round() as u8;
            (f32::from(pixel) / 255.0 == x).then_some(pixel)
        };
        let pixels: Option<Vec<u8>> = self.features.iter().map(|&x| of(x)).collect();
        Array2::from_shape_vec(self.features.dim(), pixels?).ok()
    }

    /// The class of each row. One column of values counts as labels if each value is a whole
    /// number.
    ///
    /// # Errors
    /// [`Error::Input`] for the first row whose target is not a label, or for missing targets.
    pub fn labels(&self) -> Result<Array1<i64>> {
        match &self.target {
            Target::Labels { labels, .. } => Ok(labels.clone()),
            Target::Values(values) if values.ncols() == 1 => {
                let whole = |value: f32| value.fract() == 0.0 && value.abs() <= LARGEST_WHOLE;
                match values.iter().position(|&value| !whole(value)) {
                    None => Ok(values.iter().map(|&value| value as i64).collect()),
                    Some(row) => {
                        let found = crate::error::text::exact(values[[row, 0]].into());
                        Err(input(format!("hold {found} in row {row}"), "labels are whole numbers"))
                    }
                }
            }
            Target::Values(values) => Err(input(
                format!("have {} columns", values.ncols()),
                "labels take one, the number of the class",
            )),
            Target::None => Err(no_targets()),
        }
    }

    /// Class names: 0 up to the largest label if the targets are numbers.
    ///
    /// # Errors
    /// As [`labels`](Self::labels); also for a label that is not a valid class number.
    pub fn classes(&self) -> Result<Vec<String>> {
        match &self.target {
            Target::Labels { classes, .. } => Ok(classes.clone()),
            _ => numbered_classes(self.labels()?).map_err(|(label, allowed)| {
                input(format!("hold label {label}"), &format!("a class is {allowed}"))
            }),
        }
    }

    /// One-hot encoding of the labels. Keras: `to_categorical`; PyTorch: `one_hot`.
    ///
    /// # Errors
    /// As [`classes`](Self::classes); [`Error::Label`] for a label without a class.
    pub fn one_hot(&self) -> Result<Array2<f32>> {
        let (labels, classes) = (self.labels()?, self.classes()?.len());
        let limit = 1u64 << 34;
        let bytes = 4 * labels.len() as u64 * classes as u64;
        if bytes > limit {
            let advice = "take a loss that reads labels, as cross_entropy does".into();
            return Err(Error::TooLarge { name: "one-hot targets".into(), bytes, limit, advice });
        }
        let mut rows = Array2::zeros((labels.len(), classes));
        for (row, &label) in labels.iter().enumerate() {
            let place = usize::try_from(label).ok().and_then(|class| rows.get_mut([row, class]));
            let outside = || Error::Label {
                operation: "one_hot".into(),
                row,
                label,
                classes,
                ignored: String::new(),
            };
            *place.ok_or_else(outside)? = 1.0;
        }
        Ok(rows)
    }

    /// The targets as numbers; labels become one column.
    ///
    /// # Errors
    /// [`Error::Input`] if there are no targets.
    pub fn values(&self) -> Result<Array2<f32>> {
        match &self.target {
            Target::Values(values) => Ok(values.clone()),
            Target::Labels { labels, .. } => {
                Ok(labels.mapv(|label| label as f32).insert_axis(Axis(1)))
            }
            Target::None => Err(no_targets()),
        }
    }

    /// Groups the rows by query: consecutive groups with these numbers of rows.
    /// [`split`](Self::split), [`take`](Self::take) and [`shuffled`](Self::shuffled) then keep
    /// queries whole.
    ///
    /// # Errors
    /// [`Error::Shape`] if the sizes do not add up to the number of rows, or a group is empty.
    pub fn grouped(mut self, groups: Vec<usize>) -> Result<Self> {
        let sum = groups.iter().fold(0_usize, |sum, &size| sum.saturating_add(size));
        if sum != self.rows() || groups.contains(&0) {
            let empty = if groups.contains(&0) { ", one of them 0" } else { "" };
            return Err(Error::Shape {
                operation: "data".into(),
                found: format!(
                    "features have {} rows but {} groups {sum} in all{empty}",
                    self.rows(),
                    groups.len()
                ),
                allowed: "the groups must be all rows, each of one row at least".into(),
            });
        }
        self.groups = Some(groups);
        Ok(self)
    }

    /// The first rows and the last `fraction` of the rows (rounded), unshuffled: call
    /// [`shuffled`](Self::shuffled) first if the file is sorted. For grouped rows the fraction
    /// applies to the queries. Keras: `validation_split`.
    ///
    /// # Errors
    /// [`Error::Option`] if either side of the split would be empty.
    pub fn split(&self, fraction: f64) -> Result<(Dataset, Dataset)> {
        let (units, name) = match &self.groups {
            Some(groups) => (groups.len(), "queries"),
            None => (self.rows(), "rows"),
        };
        let last = (units as f64 * fraction).round();
        if !(last >= 1.0 && last < units as f64) {
            let allowed = format!("in (0, 1) and leave {name} in both parts; there are {units}");
            return Err(Error::option("split", "fraction", fraction, &allowed));
        }
        let boundary = units - last as usize;
        let boundary =
            self.groups.as_ref().map_or(boundary, |groups| groups[..boundary].iter().sum());
        Ok((self.between(0, boundary), self.between(boundary, self.rows())))
    }

    /// The first `count` rows, or all if there are fewer; for grouped rows only whole queries.
    pub fn take(&self, count: usize) -> Dataset {
        let mut end = count.min(self.rows());
        if let Some(groups) = &self.groups {
            let ends = groups.iter().scan(0, |sum, &size| {
                *sum += size;
                Some(*sum)
            });
            end = ends.take_while(|&sum| sum <= count).last().unwrap_or(0);
        }
        self.between(0, end)
    }

    /// The rows of a range whose ends are query boundaries if the rows are grouped.
    fn between(&self, start: usize, end: usize) -> Dataset {
        let target = match &self.target {
            Target::Labels { labels, classes } => Target::Labels {
                labels: labels.slice(s![start..end]).to_owned(),
                classes: classes.clone(),
            },
            Target::Values(values) => Target::Values(values.slice(s![start..end, ..]).to_owned()),
            Target::None => Target::None,
        };
        let features = self.features.slice(s![start..end, ..]).to_owned();
        let mut before = 0;
        let inside = |size: &&usize| {
            before += **size;
            (start + 1..=end).contains(&before)
        };
        let groups =
            self.groups.as_ref().map(|groups| groups.iter().filter(inside).copied().collect());
        Dataset { features, target, feature_names: self.feature_names.clone(), groups }
    }

    /// The rows in the order of `Permutation::new(rows, seed, 0)`; grouped rows in the order of
    /// `Permutation::new(queries, seed, 0)` for the queries, unchanged within each.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond 2³² rows.
    pub fn shuffled(&self, seed: u64) -> Result<Dataset> {
        let (order, groups): (Vec<usize>, _) = match &self.groups {
            None => (shuffled_rows(self.rows(), seed)?, None),
            Some(groups) => {
                let start = |sum: &mut usize, size: &usize| {
                    *sum += size;
                    Some(*sum - size)
                };
                let starts: Vec<usize> = groups.iter().scan(0, start).collect();
                let order = shuffled_rows(groups.len(), seed)?;
                let rows = order
                    .iter()
                    .flat_map(|&group| starts[group]..starts[group] + groups[group])
                    .collect();
                (rows, Some(order.iter().map(|&group| groups[group]).collect()))
            }
        };
        let target = match &self.target {
            Target::Labels { labels, classes } => {
                Target::Labels { labels: labels.select(Axis(0), &order), classes: classes.clone() }
            }
            Target::Values(values) => Target::Values(values.select(Axis(0), &order)),
            Target::None => Target::None,
        };
        let features = self.features.select(Axis(0), &order);
        Ok(Dataset { features, target, feature_names: self.feature_names.clone(), groups })
    }

    /// Checks that all features and targets are finite.
    ///
    /// # Errors
    /// [`Error::NonFinite`] with the first NaN or infinity, its position, and the count of all of
    /// them.
    pub fn check_finite(&self) -> Result<()> {
        check_finite("data", "features", &self.features)?;
        match &self.target {
            Target::Values(values) => check_finite("data", "targets", values),
            _ => Ok(()),
        }
    }
}

#[cfg(feature = "data")]
fn joined_shape(error: ndarray::ShapeError) -> Error {
    Error::Shape {
        operation: "data".into(),
        found: error.to_string(),
        allowed: "the same columns in all parts".into(),
    }
}

fn input(found: String, allowed: &str) -> Error {
    Error::Input {
        operation: "data".into(),
        name: "targets".into(),
        found,
        allowed: allowed.into(),
    }
}

fn no_targets() -> Error {
    input("are missing".into(), "name the target column, or the file that holds the targets")
}

/// Row, column and value of the first NaN or infinity.
pub(super) fn first_non_finite(values: &Array2<f32>) -> Option<(usize, usize, f32)> {
    // First pass in memory order: it covers all data and nearly always finds nothing.
    if values.iter().all(|value| value.is_finite()) {
        return None;
    }
    let found = values.indexed_iter().find(|(_, value)| !value.is_finite());
    found.map(|((row, column), &value)| (row, column, value))
}

/// Checks that all values are finite.
pub(super) fn check_finite(operation: &str, name: &str, values: &Array2<f32>) -> Result<()> {
    let Some((row, column, value)) = first_non_finite(values) else {
        return Ok(());
    };
    Err(Error::NonFinite {
        operation: operation.into(),
        name: name.into(),
        found: value.to_string(),
        position: format!("row {row}, column {column}"),
        count: values.iter().filter(|value| !value.is_finite()).count(),
    })
}

/// The classes 0 up to the largest label, named by their numbers; else the first invalid label and
/// the expected range.
pub(super) fn numbered_classes(
    labels: impl IntoIterator<Item = i64>,
) -> Result<Vec<String>, (i64, String)> {
    let mut largest = -1;
    for label in labels {
        if !(0..MOST_CLASSES).contains(&label) {
            return Err((label, format!("a number from 0 to {}", MOST_CLASSES - 1)));
        }
        largest = largest.max(label);
    }
    Ok((0..=largest).map(|class| class.to_string()).collect())
}

/// Checks that all numbers read from a file are finite.
pub(super) fn finite_in_file(path: &Path, inside: &str, values: &Array2<f32>) -> Result<()> {
    match first_non_finite(values) {
        None => Ok(()),
        Some((row, column, value)) => Err(Error::Data {
            path: path.into(),
            position: format!("row {row}, column {column}{inside}"),
            found: value.to_string(),
            expected: "a number that is finite in f32; clean or drop such rows".into(),
        }),
    }
}
