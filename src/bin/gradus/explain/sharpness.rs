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

/// Colours of a heat map cannot tell what is many times the model's loss: what is above is cut.
const MOST_TIMES: f64 = 10.0;

/// The loss around a model.
pub struct Sharpness {
    pub rows: usize,
    pub surface: LossSurface,
    pub curvature: Eigenvalue,
}

impl Sharpness {
    pub fn of(model: &mut Model, part: &Part, seed: u64) -> Section<Self> {
        output::note("measuring the loss of 41 x 41 models around this one (--sharpness)");
        let failed = |error: gradus::Error| error.to_string();
        let surface = Landscape::new()
            .seed(seed)
            .measure(model, &part.features, part.targets())
            .map_err(failed)?;
        let curvature = Curvature::new()
            .seed(seed)
            .largest(model, &part.features, part.targets())
            .map_err(failed)?;
        Ok(Sharpness { rows: part.features.nrows(), surface, curvature })
    }

    /// Rows to measure on.
    pub const fn rows() -> usize {
        ROWS
    }

    /// The distances with the mean rise of the loss there.
    fn rises(&self) -> Vec<(f64, f64)> {
        DISTANCES.iter().map(|&distance| (distance, self.surface.rise(distance))).collect()
    }

    /// The findings in sentences.
    pub fn words(&self) -> String {
        let Eigenvalue { value, residual, iterations, .. } = self.curvature;
        let edge = match self.curvature.largest_rate() {
            rate if rate.is_finite() => format!(
                "Plain gradient descent on all rows moves away from here at a rate above {} (2 divided by it)",
                short(rate)
            ),
            _ => "It is not positive: the weights are at no minimum".into(),
        };
        let sure = match residual {
            residual if residual <= 0.1 => String::new(),
            residual => format!(
                " It is not settled: after {iterations} products the rest is {} of it.",
                short(residual)
            ),
        };
        let rises: Vec<String> = self
            .rises()
            .iter()
            .map(|(distance, rise)| format!("{} at {distance}", short(*rise)))
            .collect();
        format!(
            "Measured on {} rows. The largest eigenvalue of the Hessian is {}. {edge}.{sure} Along random directions the mean loss of {} \
             rises by {}; a distance of 1 is the length of each filter's weights.",
            self.rows,
            short(value),
            short(self.surface.center()),
            rises.join(", ")
        )
    }

    pub fn json(&self) -> Value {
        let loss: Vec<Vec<f64>> =
            self.surface.loss.rows().into_iter().map(|row| row.to_vec()).collect();
        let rise = |(distance, rise): &(f64, f64)| json!({ "distance": distance, "rise": rise });
        json!({
            "rows": self.rows,
            "largest_eigenvalue": self.curvature.value,
            "residual": self.curvature.residual,
            "products": self.curvature.iterations,
            "largest_rate": Some(self.curvature.largest_rate()).filter(|rate| rate.is_finite()),
            "rises": self.rises().iter().map(rise).collect::<Vec<Value>>(),
            "steps": self.surface.steps,
            "loss": loss,
        })
    }

    pub fn page(&self, page: &mut Page) -> Outcome {
        page.paragraph(&self.words());
        let names: Vec<String> =
            self.surface.steps.iter().map(|step| format!("{step:.2}")).collect();
        let center = self.surface.center();
        let most = center + MOST_TIMES * center.abs().max(f64::MIN_POSITIVE);
        let map = HeatMap {
            description: "loss of 41 x 41 models around this one, which is in the middle".into(),
            rows: names.clone(),
            columns: names,
            row_label: "first direction".into(),
            column_label: "second direction".into(),
            values: self.surface.loss.iter().map(|loss| loss.min(most)).collect(),
        };
        page.heat_map(
            &map,
            &format!(
                "Mean loss by the distance along two random directions; above {} it is cut",
                short(most)
            ),
        )
    }
}
