//! What a configuration of the default space stands for: a dense network and its training.

use serde_json::{Map, Value, json};

use crate::nn::layers::Dense;
use crate::nn::layers::sequential::Sequential;
use crate::nn::{activations, optimizers};
use crate::tune::metric::Metric;
use crate::tune::rows::Rows;
use crate::tune::space::{Configuration, Parameter, Space};
use crate::{Member, Result, losses};

/// Optimizers with steps of the size of the learning rate.
const ADAPTIVE: [&str; 3] = ["adam", "adamw", "nadam"];

/// A dense network, its loss and how it is trained: each field is one of the options of
/// `gradus train`.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The loss and its options.
    pub loss: (String, Map<String, Value>),
    /// Units of the hidden layers; none for a linear model.
    pub hidden: Vec<usize>,
    /// Activation of the hidden layers.
    pub activation: String,
    /// The optimizer and its options without the learning rate.
    pub optimizer: (String, Map<String, Value>),
    /// The learning rate, the largest one of a schedule.
    pub learning_rate: f64,
    /// The schedule over the whole training.
    pub schedule: String,
    /// Rows per batch.
    pub batch_size: usize,
}

/// The space of dense networks for a metric and a number of rows to train on.
///
/// # Errors
/// As [`Space::new`].
pub(crate) fn space(metric: Metric, rows: usize) -> Result<Space> {
    let name = |sizes: &[usize]| sizes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let fits = |size: &usize| *size == 64 || *size <= (rows / 4).max(32);
    let batches: Vec<usize> = [32, 64, 128, 256].into_iter().filter(fits).collect();
    let widths: &[usize] = if rows < 1000 { &[16, 32, 64, 128] } else { &[16, 32, 64, 128, 256] };
    let depths: &[&str] = if rows < 1000 { &["0", "1", "2"] } else { &["0", "1", "2", "3"] };
    let (batches, widths) = (name(&batches), name(widths));
    let texts = |names: &[String]| names.to_vec();
    let categorical = |name: &str, choices: Vec<String>| {
        Parameter::new(name, crate::tune::space::Domain::Categorical(choices)).structural()
    };
    let mut parameters = if metric.is_of_numbers() {
        vec![
            Parameter::choice("loss", &["mse", "huber", "mae", "log_cosh"]).structural(),
            Parameter::log("delta", 0.3, 3.0).when("loss", &["huber"]),
        ]
    } else {
        let losses = ["cross_entropy", "focal", "generalized_cross_entropy"];
        vec![
            Parameter::choice("loss", &losses).structural(),
            Parameter::float("label_smoothing", 0.0, 0.2).when("loss", &["cross_entropy"]),
            Parameter::float("gamma", 0.25, 3.0).when("loss", &["focal"]),
            Parameter::float("q", 0.05, 0.9).when("loss", &["generalized_cross_entropy"]),
        ]
    };
    let hidden = &depths[1..];
    parameters.extend([
        Parameter::choice("depth", depths).structural(),
        categorical("width", texts(&widths)).when("depth", hidden),
        Parameter::choice("taper", &["even", "halved"]).structural().when("depth", &hidden[1..]),
        Parameter::choice("activation", &["relu", "silu", "tanh"])
            .structural()
            .when("depth", hidden),
        Parameter::choice("optimizer", &["adam", "adamw", "nadam", "sgd"]).structural(),
        categorical("batch_size", texts(&batches)),
        Parameter::choice("schedule", &["constant", "cosine", "one_cycle"]).structural(),
        Parameter::log("learning_rate", 1e-4, 1e-1).when("optimizer", &ADAPTIVE),
        Parameter::log("sgd_learning_rate", 1e-3, 1.0).when("optimizer", &["sgd"]),
        Parameter::log("weight_decay", 1e-3, 3.0).when("optimizer", &["adamw"]),
        Parameter::log("sgd_weight_decay", 1e-6, 1e-1).when("optimizer", &["sgd"]),
    ]);
    Space::new(parameters)
}

/// The first trials of a search: the default of `gradus train`, then a linear model and a network
/// with settings that do well on many tables.
///
/// # Errors
/// As [`Space::configuration`].
pub(crate) fn first(space: &Space, metric: Metric) -> Result<Vec<Configuration>> {
    let (loss, option) = if metric.is_of_numbers() {
        (("loss", "mse"), None)
    } else {
        (("loss", "cross_entropy"), Some(("label_smoothing", "0")))
    };
    let with = |others: &[(&str, &str)]| {
        let given: Vec<(&str, &str)> =
            std::iter::once(loss).chain(option).chain(others.iter().copied()).collect();
        space.configuration(&given)
    };
    let decayed = [
        ("optimizer", "adamw"),
        ("batch_size", "32"),
        ("schedule", "cosine"),
        ("learning_rate", "0.01"),
    ];
    let of = |others: &[(&'static str, &'static str)]| [others, &decayed].concat();
    Ok(vec![
        with(&[
            ("depth", "2"),
            ("width", "128"),
            ("taper", "halved"),
            ("activation", "relu"),
            ("optimizer", "adam"),
            ("batch_size", "64"),
            ("schedule", "constant"),
            ("learning_rate", "0.001"),
        ])?,
        with(&of(&[("depth", "0"), ("weight_decay", "0.01")]))?,
        with(&of(&[
            ("depth", "2"),
            ("width", "64"),
            ("taper", "even"),
            ("activation", "silu"),
            ("weight_decay", "0.1"),
        ]))?,
    ])
}

impl Candidate {
    /// The candidate of a configuration of the default space.
    pub(crate) fn of(space: &Space, configuration: &Configuration) -> Self {
        let text = |name: &str| space.get(configuration, name);
        let number = |name: &str| text(name).and_then(|value| value.parse::<f64>().ok());
        let options = |pairs: &[(&str, &str)]| -> Map<String, Value> {
            let given =
                |(option, name): &(&str, &str)| Some((option.to_string(), json!(number(name)?)));
            pairs.iter().filter_map(given).collect()
        };
        let own = ["delta", "label_smoothing", "gamma", "q"].map(|name| (name, name));
        let depth = number("depth").unwrap_or(0.0) as usize;
        let width = number("width").unwrap_or(0.0) as usize;
        let is_halved = text("taper").is_some_and(|taper| taper == "halved");
        let units = |layer: usize| if is_halved { (width >> layer).max(1) } else { width };
        let optimizer = text("optimizer").unwrap_or_default();
        let mut settings =
            options(&[("weight_decay", "weight_decay"), ("weight_decay", "sgd_weight_decay")]);
        if optimizer == "sgd" {
            settings.insert("momentum".into(), json!(0.9));
        }
        Candidate {
            loss: (text("loss").unwrap_or_default(), options(&own)),
            hidden: (0..depth).map(units).collect(),
            activation: text("activation").unwrap_or_else(|| "relu".into()),
            optimizer: (optimizer, settings),
            learning_rate: number("learning_rate").or(number("sgd_learning_rate")).unwrap_or(1e-3),
            schedule: text("schedule").unwrap_or_default(),
            batch_size: number("batch_size").unwrap_or(64.0) as usize,
        }
    }

    /// Number of parameters of the network.
    pub fn parameters(&self, inputs: usize, outputs: usize) -> usize {
        let widths: Vec<usize> =
            std::iter::once(inputs).chain(self.hidden.clone()).chain([outputs]).collect();
        widths.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum()
    }

    /// The layers, without their weights.
    pub(crate) fn layers(&self, rows: &Rows) -> Result<Sequential> {
        let mut layers = Sequential::new(rows.features.ncols());
        for &units in &self.hidden {
            let activation = activations::from_name(&self.activation, &Value::Null)?;
            layers = layers.then(Dense::new(units).boxed_activation(activation));
        }
        Ok(layers.then(Dense::new(rows.outputs())))
    }

    /// The loss and the optimizer, which members then override.
    pub(crate) fn compiled(
        &self,
    ) -> Result<(Box<dyn losses::LossDefinition>, Box<dyn optimizers::Optimizer>)> {
        let (loss, optimizer) = (&self.loss, &self.optimizer);
        Ok((
            losses::from_name(&loss.0, &Value::Object(loss.1.clone()))?,
            optimizers::from_name(&optimizer.0, &Value::Object(optimizer.1.clone()))?,
        ))
    }

    /// A member of a population that trains it with a seed for `steps` updates.
    pub(crate) fn member(&self, seed: u64, steps: usize) -> Member {
        let mut member = Member::new().seed(seed).learning_rate(self.learning_rate);
        for (name, value) in &self.optimizer.1 {
            member = member.optimizer(name, value.clone());
        }
        for (name, value) in &self.loss.1 {
            member = member.loss(name, value.clone());
        }
        let (rate, steps) = (self.learning_rate, steps.max(2));
        match self.schedule.as_str() {
            "cosine" => member.schedule("cosine", json!({ "learning_rate": rate, "steps": steps })),
            "one_cycle" => member.schedule("one_cycle", json!({ "maximum": rate, "steps": steps })),
            _ => member,
        }
    }

    /// The options of `gradus train` for it, besides those of the data.
    pub fn arguments(&self, epochs: usize, seed: u64) -> Vec<String> {
        let hidden: Vec<String> = self.hidden.iter().map(ToString::to_string).collect();
        let hidden = if hidden.is_empty() { "none".into() } else { hidden.join(",") };
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |flag: &str, value: String| arguments.extend([flag.to_string(), value]);
        add("--loss", self.loss.0.clone());
        for (name, value) in &self.loss.1 {
            add("--set", format!("{name}={value}"));
        }
        add("--hidden", hidden);
        if !self.hidden.is_empty() {
            add("--activation", self.activation.clone());
        }
        add("--optimizer", self.optimizer.0.clone());
        for (name, value) in &self.optimizer.1 {
            add("--optimizer-set", format!("{name}={value}"));
        }
        add("--learning-rate", self.learning_rate.to_string());
        match self.schedule.as_str() {
            "cosine" => add("--schedule", "cosine".into()),
            "one_cycle" => {
                add("--schedule", "one_cycle".into());
                add("--schedule-set", format!("maximum={}", self.learning_rate));
            }
            _ => {}
        }
        add("--batch-size", self.batch_size.to_string());
        add("--epochs", epochs.to_string());
        add("--seed", seed.to_string());
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_that_of_train() {
        let space = space(Metric::Rmse, 10_000).unwrap();
        let first = first(&space, Metric::Rmse).unwrap();
        let default = Candidate::of(&space, &first[0]);
        assert_eq!(default.hidden, [128, 64]);
        assert_eq!(
            default.arguments(5, 7).join(" "),
            "--loss mse --hidden 128,64 --activation relu --optimizer adam --learning-rate 0.001 \
             --batch-size 64 --epochs 5 --seed 7"
        );
        assert_eq!(default.parameters(8, 1), 9 * 128 + 129 * 64 + 65);
        let linear = Candidate::of(&space, &first[1]);
        assert!(linear.hidden.is_empty() && linear.arguments(5, 7).contains(&"none".to_string()));
        assert_eq!(linear.optimizer.1["weight_decay"], 0.01);
    }

    #[test]
    fn every_candidate_of_the_space_can_be_made() {
        for metric in [Metric::Rmse, Metric::LogLoss] {
            for rows in [60, 900, 20_000] {
                let space = space(metric, rows).unwrap();
                let mut sampler = crate::tune::sampler::Sampler::new(&space, 1, 1000);
                let drawn = sampler.draw(0, 60, 1, &[]);
                assert_eq!(drawn.len(), 60);
                for configuration in drawn {
                    let candidate = Candidate::of(&space, &configuration);
                    candidate.compiled().unwrap();
                    assert!(candidate.learning_rate >= 1e-4 && candidate.batch_size >= 32);
                    let depth = space.get(&configuration, "depth").unwrap();
                    assert_eq!(candidate.hidden.len().to_string(), depth);
                }
            }
        }
    }
}
