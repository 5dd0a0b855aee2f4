//! Which training rows made the largest losses: TracIn at the weights of the model.

use gradus::Model;
use gradus::explain::influences;
use ndarray::Axis;
use serde_json::{Value, json};

use crate::explain::part::{LargeLoss, Part, Section};
use crate::explain::subject::{Subject, short};
use crate::samples::{Rows, Truth};

/// Training rows named for each row, of either sign.
const NAMED: usize = 3;

/// A training row and its product with the row that is explained.
pub struct Influence {
    pub row: usize,
    pub product: f64,
}

/// The training rows behind a row.
pub struct Behind {
    /// The row that is explained.
    pub row: usize,
    /// Training rows whose steps raise its loss, the strongest first.
    pub raise: Vec<Influence>,
    /// Training rows whose steps lower its loss, the strongest first.
    pub lower: Vec<Influence>,
}

/// The training rows behind the rows with the largest loss.
pub struct Training {
    pub list: Vec<Behind>,
    /// Number of training rows.
    pub rows: usize,
    /// Of these, rows whose gradient is not finite.
    lost: usize,
    has_classes: bool,
    /// The places and targets of the training rows that are named, by row.
    names: Vec<(usize, String)>,
}

impl Training {
    /// The training rows behind `large`; `rows` and `truth` are what the model was trained on, and
    /// `is_same` says that these rows are those that are explained.
    pub fn of(
        model: &mut Model,
        explained: &Part,
        large: &[LargeLoss],
        rows: &Rows,
        truth: &Truth,
        is_same: bool,
    ) -> Section<Self> {
        if matches!(truth, Truth::Grouped(..)) {
            return Err("the rows are in lists".into());
        }
        let products = influences(
            model,
            (&rows.dataset.features, truth.targets()),
            (&explained.features, explained.targets()),
        )
        .map_err(|error| error.to_string())?;
        let subject =
            Subject::new(model, rows).map_err(|_| "the rows have no names".to_string())?;
        // A row whose loss is not finite has no gradient.
        let lost = products
            .axis_iter(Axis(1))
            .filter(|of_row| of_row.iter().any(|product| !product.is_finite()))
            .count();
        let list: Vec<Behind> = large
            .iter()
            .zip(products.axis_iter(Axis(0)))
            .map(|(large, products)| {
                // A row that is explained and was trained on lowers its own loss most: no answer.
                let is_other = |row: &usize| !is_same || *row != large.row;
                let mut order: Vec<usize> = (0..products.len())
                    .filter(|&row| products[row].is_finite() && is_other(&row))
                    .collect();
                order.sort_by(|&a, &b| products[a].total_cmp(&products[b]));
                let of = |&row: &usize| Influence { row, product: products[row] };
                let raise = order.iter().map(of).take_while(|found| found.product < 0.0);
                let lower = order.iter().rev().map(of).take_while(|found| found.product > 0.0);
                Behind {
                    row: large.row,
                    raise: raise.take(NAMED).collect(),
                    lower: lower.take(NAMED).collect(),
                }
            })
            .collect();
        let has_classes = matches!(truth, Truth::Labels(_));
        let named = list.iter().flat_map(|behind| behind.raise.iter().chain(&behind.lower));
        let name = |found: &Influence| {
            let target = match truth {
                Truth::Labels(labels) => match usize::try_from(labels[found.row]) {
                    Ok(class) => subject.class(class),
                    Err(_) => "ignored".into(),
                },
                _ => {
                    let numbers = subject.target_numbers(found.row);
                    numbers.iter().map(|&number| short(number)).collect::<Vec<_>>().join(", ")
                }
            };
            (found.row, format!("{} ({target})", subject.place(found.row)))
        };
        let mut names: Vec<(usize, String)> = named.map(name).collect();
        names.sort();
        names.dedup();
        Ok(Training { list, rows: rows.dataset.rows(), lost, has_classes, names })
    }

    fn name(&self, row: usize) -> &str {
        let found = self.names.binary_search_by_key(&row, |(row, _)| *row);
        found.map_or("", |place| &self.names[place].1)
    }

    fn list_of(&self, found: &[Influence]) -> String {
        let words =
            |found: &Influence| format!("{} {}", self.name(found.row), short(found.product));
        match found.is_empty() {
            true => "none".into(),
            false => found.iter().map(words).collect::<Vec<_>>().join("; "),
        }
    }

    /// What the lists are.
    pub fn about(&self) -> String {
        let lost = match self.lost {
            0 => String::new(),
            lost => {
                format!(" Training rows left out because their gradient is not finite: {lost}.")
            }
        };
        let advice = match self.has_classes {
            true => "What raises it may have a wrong label, or is a like row of another class.",
            false => "What raises it may have a wrong target, or is a like row with another one.",
        };
        format!(
            "Training on a row changes the loss of another one by the rate times the product of their gradients, with the opposite sign (TracIn, \
             exact over all layers, at the weights that were saved). Of the training rows, {} in number, these raise the loss most and lower it \
             most, with their targets. {advice}{lost}",
            self.rows
        )
    }

    /// Place, rows that raise and rows that lower, for each row.
    pub fn table(&self, subject: &Subject) -> Vec<Vec<String>> {
        let of = |behind: &Behind| {
            vec![
                subject.place(behind.row),
                self.list_of(&behind.raise),
                self.list_of(&behind.lower),
            ]
        };
        self.list.iter().map(of).collect()
    }

    pub fn json(&self, subject: &Subject) -> Value {
        let influence = |found: &Influence| json!({ "row": found.row, "name": self.name(found.row), "product": found.product });
        let of = |behind: &Behind| {
            json!({
                "row": behind.row,
                "place": subject.place(behind.row),
                "raised_by": behind.raise.iter().map(influence).collect::<Vec<Value>>(),
                "lowered_by": behind.lower.iter().map(influence).collect::<Vec<Value>>(),
            })
        };
        json!({ "rows": self.rows, "list": self.list.iter().map(of).collect::<Vec<Value>>() })
    }
}

/// The headings of [`Training::table`].
pub const HEADINGS: [&str; 3] = ["where", "raised by", "lowered by"];
