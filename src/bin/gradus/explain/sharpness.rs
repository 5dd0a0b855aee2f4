//! How sharp the minimum is: the loss on a plane around the model, and its largest curvature.

use gradus::Model;
use gradus::explain::{Curvature, Eigenvalue, Landscape, LossSurface};
use serde_json::{Value, json};

use crate::explain::part::{Part, Section};
use crate::explain::subject::short;
use crate::output::{self, Outcome};
use crate::page::Page;
use crate::page::heat_map::HeatMap;

/// Rows on which the loss is measured: each point of the plane passes over them.
const ROWS: usize = 1000;

/// Distances at which the rise of the loss is given, in lengths of the filters.
const DISTANCES: [f64; 4] = [0.1, 0.25, 0.5, 1.0];

/// Colours of a heat map cannot tell apart what is many times the loss of most points: above this
/// many times their median, or that of the model, it is cut.
const MOST_TIMES: f64 = 4.0;

/// A residual from which on the eigenvalue is given with its bounds.
const LARGE_RESIDUAL: f64 = 0.02;

/// A change of the eigenvalue at a quarter of the step from which on the loss is not smooth.
const SMOOTH: f64 = 0.2;

/// The loss around a model, and its curvature there.
pub struct Sharpness {
    pub rows: usize,
    pub surface: Section<LossSurface>,
    pub curvature: Section<Eigenvalue>,
}

impl Sharpness {
    pub fn of(model: &mut Model, part: &Part, seed: u64) -> Self {
        output::note("measuring the loss of 41 x 41 models around this one (--sharpness)");
        let failed = |error: gradus::Error| error.to_string();
        let surface = Landscape::new().seed(seed).measure(model, &part.features, part.targets());
        let curvature = Curvature::new().seed(seed).largest(model, &part.features, part.targets());
        Sharpness {
            rows: part.features.nrows(),
            surface: surface.map_err(failed),
            curvature: curvature.map_err(failed),
        }
    }

    /// Rows to measure on.
    pub const fn rows() -> usize {
        ROWS
    }

    /// The findings in sentences.
    pub fn words(&self) -> String {
        let curvature = match &self.curvature {
            Ok(found) => of_curvature(found),
            Err(reason) => format!("The curvature is not known: {reason}."),
        };
        let surface = match &self.surface {
            Ok(found) => of_surface(found),
            Err(reason) => format!("The loss around the model is not known: {reason}."),
        };
        format!("Measured on rows: {}. {curvature} {surface}", self.rows)
    }

    pub fn json(&self) -> Value {
        let mut document = json!({ "rows": self.rows });
        match &self.curvature {
            Ok(found) => {
                document["largest_eigenvalue"] = json!(found.value);
                document["residual"] = json!(found.residual);
                document["change_at_a_quarter_of_the_step"] = json!(found.change);
                document["products"] = json!(found.iterations);
                let rate = Some(found.largest_rate()).filter(|rate| rate.is_finite());
                document["largest_rate"] = json!(rate);
            }
            Err(reason) => document["why_no_curvature"] = json!(reason),
        }
        match &self.surface {
            Ok(found) => {
                let rise =
                    |(distance, rise): &(f64, f64)| json!({ "distance": distance, "rise": rise });
                document["rises"] = rises(found).iter().map(rise).collect();
                document["steps"] = json!(found.steps);
                document["loss"] =
                    found.loss.rows().into_iter().map(|row| json!(row.to_vec())).collect();
            }
            Err(reason) => document["why_no_landscape"] = json!(reason),
        }
        document
    }

    pub fn page(&self, page: &mut Page) -> Outcome {
        page.paragraph(&self.words());
        let Ok(surface) = &self.surface else { return Ok(()) };
        let names: Vec<String> = surface.steps.iter().map(|step| format!("{step:.2}")).collect();
        let mut sorted: Vec<f64> =
            surface.loss.iter().copied().filter(|loss| loss.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        let most = MOST_TIMES * median.abs().max(surface.center().abs());
        // What is not finite stays blank.
        let drawn = |&loss: &f64| if loss.is_finite() { loss.min(most) } else { f64::NAN };
        let map = HeatMap {
            description: "loss of 41 x 41 models around this one, which is in the middle".into(),
            rows: names.clone(),
            columns: names,
            row_label: "first direction".into(),
            column_label: "second direction".into(),
            values: surface.loss.iter().map(drawn).collect(),
        };
        let caption = format!(
            "Mean loss by the distance along two random directions; above {} it is cut, and blank where it is not finite",
            short(most)
        );
        page.heat_map(&map, &caption)
    }
}

/// The distances with the mean rise of the loss there.
fn rises(surface: &LossSurface) -> Vec<(f64, f64)> {
    DISTANCES.iter().map(|&distance| (distance, surface.rise(distance))).collect()
}

fn of_surface(surface: &LossSurface) -> String {
    let rises: Vec<String> = rises(surface)
        .iter()
        .map(|(distance, rise)| format!("{} at {distance}", short(*rise)))
        .collect();
    format!(
        "Along random directions the mean loss of {} changes by {}; at a distance of 1 a random vector of its own length is added to each \
         filter's weights.",
        short(surface.center()),
        rises.join(", ")
    )
}

fn of_curvature(found: &Eigenvalue) -> String {
    let Eigenvalue { value, residual, change, iterations, .. } = *found;
    let bounds = match residual {
        residual if residual <= LARGE_RESIDUAL => String::new(),
        _ => format!(" ± {} after {iterations} products", short(residual * value.abs())),
    };
    let edge = match value {
        0.0 => "The loss is flat here in every direction".into(),
        value if value < 0.0 => "The loss is curved downwards in every direction".into(),
        _ => format!(
            "Plain gradient descent on these rows moves away from here at a rate above {} (2 divided by it); other optimizers have other edges",
            short(found.largest_rate())
        ),
    };
    let smooth = match change {
        change if change > SMOOTH => format!(
            " The loss is not smooth here, as with ReLU: over a quarter of the step the curvature is another by {} of it.",
            short(change)
        ),
        _ => String::new(),
    };
    format!(
        "The largest eigenvalue of the Hessian in training is {}{bounds}. {edge}.{smooth}",
        short(value)
    )
}
