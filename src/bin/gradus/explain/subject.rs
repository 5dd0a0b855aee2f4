//! What is explained: names of rows, classes and features.

use gradus::Model;
use gradus::data::{EncodedColumn, Encoding};
use gradus::explain::Condition;
use ndarray::Array2;

use crate::output::Outcome;
use crate::predict::class_names;
use crate::samples::Rows;
use crate::scores::{in_unit, output_names};

/// Cells of a row that are shown.
const MOST_CELLS: usize = 12;

/// The rows of a source, by their names there.
pub struct Subject<'a> {
    rows: &'a Rows,
    /// The encoded columns; empty for arrays.
    columns: Vec<EncodedColumn>,
    pub classes: Vec<String>,
    /// Height, width and channels, for a model of images.
    pub image: Option<[usize; 3]>,
    /// Targets and outputs in the targets' unit.
    actual: Option<Array2<f64>>,
    pub outputs: Vec<String>,
}

/// Columns of the features that belong together.
#[derive(Clone)]
pub struct Group {
    pub name: String,
    pub columns: Vec<usize>,
}

impl<'a> Subject<'a> {
    pub fn new(model: &Model, rows: &'a Rows) -> Outcome<Self> {
        let encoding = rows.encoding.as_ref();
        let columns = encoding.map(Encoding::encoded_columns).unwrap_or_default();
        let image = match *model.input_shape() {
            [height, width, channels] => Some([height, width, channels]),
            _ => None,
        };
        let actual = match &rows.dataset.target {
            gradus::data::Target::Values(values) => Some(match encoding {
                Some(encoding) => encoding.decode(values),
                None => values.mapv(f64::from),
            }),
            _ => None,
        };
        let classes = class_names(model, encoding);
        let outputs = output_names(encoding, model.outputs());
        // A single output distinguishes two classes.
        let classes = match (&rows.dataset.target, classes.len()) {
            (gradus::data::Target::Labels { classes, .. }, 1) => classes.clone(),
            _ => classes,
        };
        Ok(Subject { rows, columns, classes, image, actual, outputs })
    }

    /// The place of a row in its file: `line 7` of a table, else its number, counted from 0.
    pub fn place(&self, row: usize) -> String {
        match &self.rows.table {
            Some((table, rows)) => table.line_of(rows[row]),
            None => format!("row {row}"),
        }
    }

    /// The cells of a row by the names of their columns; empty for arrays.
    pub fn cells(&self, row: usize) -> Vec<(String, String)> {
        let Some((table, rows)) = &self.rows.table else { return Vec::new() };
        let cell = |column: &gradus::data::Column| {
            let text = column.text(rows[row]).unwrap_or_default().into_owned();
            (column.name().to_string(), text)
        };
        table.columns().iter().map(cell).collect()
    }

    /// The cells of a row in one line.
    pub fn cells_in_words(&self, row: usize) -> String {
        let cells = self.cells(row);
        let more = if cells.len() > MOST_CELLS { ", …" } else { "" };
        let words = |(name, cell): &(String, String)| match cell.is_empty() {
            true => format!("{name} blank"),
            false => format!("{name} {cell}"),
        };
        let shown = cells.iter().take(MOST_CELLS).map(words);
        shown.collect::<Vec<_>>().join(", ") + more
    }

    pub fn class(&self, class: usize) -> String {
        self.classes.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// The target numbers of a row in their unit; empty for classes.
    pub fn target_numbers(&self, row: usize) -> Vec<f64> {
        self.actual.as_ref().map_or_else(Vec::new, |actual| actual.row(row).to_vec())
    }

    /// Outputs in the unit of the targets.
    pub fn numbers(&self, model: &Model, outputs: &Array2<f64>) -> Array2<f64> {
        in_unit(model, self.rows.encoding.as_ref(), &outputs.mapv(|output| output as f32))
    }

    /// The features as people know them: the columns of the table, or each column of an array.
    pub fn groups(&self) -> Vec<Group> {
        if self.columns.is_empty() {
            let names = self.rows.dataset.feature_names.iter().cloned();
            let group = |(column, name)| Group { name, columns: vec![column] };
            return names.enumerate().map(group).collect();
        }
        let mut groups: Vec<Group> = Vec::new();
        for (column, encoded) in self.columns.iter().enumerate() {
            match groups.last_mut().filter(|group| group.name == encoded.column) {
                Some(group) => group.columns.push(column),
                None => {
                    groups.push(Group { name: encoded.column.clone(), columns: vec![column] });
                }
            }
        }
        groups
    }

    /// A condition in the unit of the file: `age > 40.5`, `sex is female`.
    pub fn condition(&self, condition: &Condition) -> String {
        let Condition { feature, above, threshold, .. } = *condition;
        let sign = if above { ">" } else { "<=" };
        let Some(encoded) = self.columns.get(feature) else {
            let names = &self.rows.dataset.feature_names;
            let name = names.get(feature).cloned().unwrap_or_else(|| feature.to_string());
            // Columns without names are numbered.
            let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
            let name = if is_number { format!("feature {name}") } else { name };
            return format!("{name} {sign} {}", short(f64::from(threshold)));
        };
        match encoded.unit {
            Some([mean, scale]) => {
                let number = mean + scale * f64::from(threshold);
                format!("{} {sign} {}", encoded.name, short(number))
            }
            None => match (encoded.name.strip_prefix(&format!("{}=", encoded.column)), above) {
                (Some(word), true) => format!("{} is {word}", encoded.column),
                (Some(word), false) => format!("{} is not {word}", encoded.column),
                (None, true) => format!("{} holds", encoded.name),
                (None, false) => format!("not: {}", encoded.name),
            },
        }
    }
}

/// Four significant digits.
pub fn short(number: f64) -> String {
    gradus::text::significant(number, 4)
}

/// Per cent with one decimal; `-` for what is not known.
pub fn per_cent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", 100.0 * share) } else { "-".into() }
}
