//! Search spaces: parameters with their ranges, some of which exist only under a condition.

use std::fmt::Write;

use crate::{Error, Result};

/// Significant digits of a float in a configuration: what is printed is what was trained.
const DIGITS: usize = 4;

/// The values that a parameter may take.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// A real number from `low` to `high`, rounded to four significant digits.
    Float {
        /// The least value.
        low: f64,
        /// The largest value.
        high: f64,
        /// True to draw the logarithm uniformly; `low` must then be positive.
        log: bool,
    },
    /// A whole number from `low` to `high`.
    Int {
        /// The least value.
        low: i64,
        /// The largest value.
        high: i64,
    },
    /// One of several names, without an order.
    Categorical(Vec<String>),
}

impl Domain {
    /// The value at a place in [0, 1): for a uniform place a uniform value, or one uniform in its
    /// logarithm.
    pub(crate) fn at(&self, place: f64) -> f64 {
        let place = place.clamp(0.0, 1.0 - f64::EPSILON);
        match self {
            Domain::Float { low, high, log: true } => {
                self.rounded((low.ln() + place * (high.ln() - low.ln())).exp())
            }
            Domain::Float { low, high, log: false } => self.rounded(low + place * (high - low)),
            Domain::Int { low, high } => {
                (*low as f64 + (place * (high - low + 1) as f64).floor()).min(*high as f64)
            }
            Domain::Categorical(choices) => (place * choices.len() as f64).floor(),
        }
    }

    /// The nearest value that the parameter can take, as it is printed.
    pub(crate) fn rounded(&self, value: f64) -> f64 {
        match self {
            Domain::Float { low, high, .. } => {
                let text = format!("{:.*e}", DIGITS - 1, value.clamp(*low, *high));
                text.parse::<f64>().unwrap_or(value).clamp(*low, *high)
            }
            Domain::Int { low, high } => value.round().clamp(*low as f64, *high as f64),
            Domain::Categorical(choices) => {
                value.round().clamp(0.0, choices.len().saturating_sub(1) as f64)
            }
        }
    }

    /// True for a value of the domain.
    pub(crate) fn holds(&self, value: f64) -> bool {
        match self {
            Domain::Float { low, high, .. } => (*low..=*high).contains(&value),
            Domain::Int { low, high } => {
                value.fract() == 0.0 && (*low as f64..=*high as f64).contains(&value)
            }
            Domain::Categorical(choices) => {
                value.fract() == 0.0 && value >= 0.0 && (value as usize) < choices.len()
            }
        }
    }

    /// A value as text: a number in its shortest form, or the name of a choice.
    pub(crate) fn text(&self, value: f64) -> String {
        match self {
            Domain::Float { .. } => format!("{value}"),
            Domain::Int { .. } => format!("{value:.0}"),
            Domain::Categorical(choices) => {
                choices.get(value as usize).cloned().unwrap_or_default()
            }
        }
    }

    fn check(&self, name: &str) -> Result<()> {
        let refused =
            |found: String, allowed: &str| Err(Error::option("search space", name, found, allowed));
        match self {
            Domain::Float { low, high, log } => {
                let is_range = low.is_finite() && high.is_finite() && low < high;
                if !is_range || (*log && *low <= 0.0) {
                    let allowed = "finite with low < high, and low > 0 on a logarithmic scale";
                    return refused(format!("{low} to {high}"), allowed);
                }
            }
            Domain::Int { low, high } if low >= high => {
                return refused(format!("{low} to {high}"), "low < high");
            }
            Domain::Categorical(choices) => {
                let repeated = (1..choices.len()).any(|at| choices[..at].contains(&choices[at]));
                if choices.is_empty() || repeated {
                    return refused(format!("{choices:?}"), "one or more different names");
                }
            }
            Domain::Int { .. } => {}
        }
        Ok(())
    }
}

/// A parameter of a search space.
///
/// ```
/// use gradus::tune::Parameter;
///
/// let loss = Parameter::choice("loss", &["mse", "huber"]);
/// let delta = Parameter::log("delta", 0.1, 3.0).when("loss", &["huber"]);
/// assert_eq!((loss.name(), delta.name()), ("loss", "delta"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub(crate) name: String,
    pub(crate) domain: Domain,
    /// A categorical parameter and those of its choices with which this one exists.
    pub(crate) condition: Option<(String, Vec<String>)>,
    /// The same for all trials of a group.
    pub(crate) structural: bool,
}

impl Parameter {
    /// A parameter with a domain.
    pub fn new(name: &str, domain: Domain) -> Self {
        Parameter { name: name.into(), domain, condition: None, structural: false }
    }

    /// A real number, uniform from `low` to `high`.
    pub fn float(name: &str, low: f64, high: f64) -> Self {
        Self::new(name, Domain::Float { low, high, log: false })
    }

    /// A real number, uniform in its logarithm from `low` to `high`.
    pub fn log(name: &str, low: f64, high: f64) -> Self {
        Self::new(name, Domain::Float { low, high, log: true })
    }

    /// A whole number from `low` to `high`.
    pub fn int(name: &str, low: i64, high: i64) -> Self {
        Self::new(name, Domain::Int { low, high })
    }

    /// One of several names.
    pub fn choice(name: &str, choices: &[&str]) -> Self {
        let choices = choices.iter().map(ToString::to_string).collect();
        Self::new(name, Domain::Categorical(choices))
    }

    /// Only if an earlier categorical parameter is one of `choices`.
    pub fn when(mut self, parent: &str, choices: &[&str]) -> Self {
        self.condition = Some((parent.into(), choices.iter().map(ToString::to_string).collect()));
        self
    }

    /// Drawn once for a group of trials, which then have the same shape and train side by side.
    pub fn structural(mut self) -> Self {
        self.structural = true;
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The values that it may take.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }
}

/// The parameters of a search, in the order in which they are drawn.
///
/// ```
/// use gradus::tune::{Parameter, Space};
///
/// let space = Space::new([
///     Parameter::choice("loss", &["mse", "huber"]),
///     Parameter::log("delta", 0.1, 3.0).when("loss", &["huber"]),
/// ])?;
/// let huber = space.configuration(&[("loss", "huber"), ("delta", "0.5")])?;
/// assert_eq!(space.text(&huber), "loss=huber delta=0.5");
/// assert!(space.configuration(&[("loss", "mse"), ("delta", "0.5")]).is_err());
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    pub(crate) parameters: Vec<Parameter>,
    /// For each parameter the place of its parent and the choices of it, by number.
    conditions: Vec<Option<(usize, Vec<f64>)>>,
}

/// A value for each parameter of a [`Space`], `None` for those that do not exist under the others:
/// a number, or the number of a choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configuration(pub(crate) Vec<Option<f64>>);

impl Configuration {
    /// The value of the parameter at a place of the space; `None` where it does not exist.
    pub fn value(&self, place: usize) -> Option<f64> {
        self.0.get(place).copied().flatten()
    }
}

impl Space {
    /// A space of parameters. A condition names a categorical parameter before its own; a parameter
    /// that is not structural may not be the condition of a structural one.
    ///
    /// # Errors
    /// [`Error::Option`] for an empty range, a name given twice, or a condition that names no
    /// earlier choice.
    pub fn new(parameters: impl IntoIterator<Item = Parameter>) -> Result<Self> {
        let parameters: Vec<Parameter> = parameters.into_iter().collect();
        let mut conditions = Vec::with_capacity(parameters.len());
        for (place, parameter) in parameters.iter().enumerate() {
            let name = &parameter.name;
            parameter.domain.check(name)?;
            if parameters[..place].iter().any(|other| other.name == *name) {
                return Err(Error::option("search space", name, "given twice", "given once"));
            }
            conditions.push(match &parameter.condition {
                None => None,
                Some((parent, choices)) => {
                    Some(condition(&parameters[..place], parameter, parent, choices)?)
                }
            });
        }
        Ok(Space { parameters, conditions })
    }

    /// The parameters.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// True if the parameter at a place exists with the values before it.
    pub(crate) fn exists(&self, place: usize, values: &[Option<f64>]) -> bool {
        match &self.conditions[place] {
            None => true,
            Some((parent, choices)) => {
                values.get(*parent).copied().flatten().is_some_and(|value| choices.contains(&value))
            }
        }
    }

    /// The place of a parameter.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name that is not in the space.
    pub fn place(&self, name: &str) -> Result<usize> {
        let found = self.parameters.iter().position(|parameter| parameter.name == name);
        found.ok_or_else(|| {
            let known = self.parameters.iter().map(|parameter| parameter.name.as_str());
            Error::unknown("parameter of the search space", name, known)
        })
    }

    /// A configuration by names and values as text.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name, [`Error::Option`] for a value outside its domain, for a
    /// parameter that is missing and for one that does not exist with the others.
    pub fn configuration(&self, given: &[(&str, &str)]) -> Result<Configuration> {
        for (name, _) in given {
            self.place(name)?;
        }
        let mut values: Vec<Option<f64>> = Vec::with_capacity(self.parameters.len());
        for (place, parameter) in self.parameters.iter().enumerate() {
            let text =
                given.iter().find(|(name, _)| *name == parameter.name).map(|(_, text)| *text);
            let refused = |allowed: &str| {
                let found = text.unwrap_or("missing").to_string();
                Error::option("configuration", &parameter.name, found, allowed)
            };
            values.push(match (self.exists(place, &values), text) {
                (true, Some(text)) => {
                    let value = match &parameter.domain {
                        Domain::Categorical(choices) => {
                            choices.iter().position(|choice| choice == text).map(|at| at as f64)
                        }
                        _ => text.parse().ok(),
                    };
                    let value = value.filter(|value| parameter.domain.holds(*value));
                    let allowed = format!("in the domain {:?}", parameter.domain);
                    Some(parameter.domain.rounded(value.ok_or_else(|| refused(&allowed))?))
                }
                (true, None) => return Err(refused("given: it exists with the other values")),
                (false, Some(_)) => {
                    return Err(refused("left out: it does not exist with the other values"));
                }
                (false, None) => None,
            });
        }
        Ok(Configuration(values))
    }

    /// A configuration as `name=value` with spaces between, which identifies it: two
    /// configurations with the same text are the same.
    pub fn text(&self, configuration: &Configuration) -> String {
        let mut text = String::new();
        for (name, value) in self.values(configuration) {
            let _ = write!(text, "{}{name}={value}", if text.is_empty() { "" } else { " " });
        }
        text
    }

    /// Names and values as text of the parameters that exist.
    pub fn values<'s>(
        &'s self,
        configuration: &'s Configuration,
    ) -> impl Iterator<Item = (&'s str, String)> {
        self.parameters.iter().zip(&configuration.0).filter_map(|(parameter, value)| {
            Some((parameter.name.as_str(), parameter.domain.text((*value)?)))
        })
    }

    /// The value of a parameter as text; `None` where it does not exist.
    pub fn get(&self, configuration: &Configuration, name: &str) -> Option<String> {
        self.values(configuration).find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// The structural values alone, as text: trials of one group share it.
    pub(crate) fn structure(&self, configuration: &Configuration) -> String {
        let mut structure = configuration.clone();
        for (value, parameter) in structure.0.iter_mut().zip(&self.parameters) {
            if !parameter.structural {
                *value = None;
            }
        }
        self.text(&structure)
    }
}

/// The place and the choices of a condition.
fn condition(
    before: &[Parameter],
    parameter: &Parameter,
    parent: &str,
    choices: &[String],
) -> Result<(usize, Vec<f64>)> {
    let refused = |allowed: &str| {
        let found = format!("a condition on `{parent}` being {}", choices.join(" or "));
        Error::option("search space", &parameter.name, found, allowed)
    };
    let place = before.iter().position(|other| other.name == parent);
    let place = place.ok_or_else(|| refused("a condition on a parameter before it"))?;
    let Domain::Categorical(known) = &before[place].domain else {
        return Err(refused("a condition on a categorical parameter"));
    };
    if parameter.structural && !before[place].structural {
        return Err(refused("a condition on a structural parameter, as it is structural itself"));
    }
    let numbers = choices.iter().map(|choice| known.iter().position(|other| other == choice));
    let numbers: Option<Vec<f64>> = numbers.map(|number| Some(number? as f64)).collect();
    let numbers = numbers.filter(|numbers| !numbers.is_empty());
    Ok((place, numbers.ok_or_else(|| refused("a condition on known choices"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Space {
        Space::new([
            Parameter::choice("loss", &["mse", "huber"]).structural(),
            Parameter::log("rate", 1e-4, 1e-1),
            Parameter::int("depth", 0, 3),
            Parameter::float("delta", 0.3, 3.0).when("loss", &["huber"]),
        ])
        .unwrap()
    }

    #[test]
    fn places_cover_a_domain_evenly_and_values_are_what_is_printed() {
        let space = space();
        let rate = &space.parameters[1].domain;
        assert_eq!(
            (rate.at(0.0), rate.at(0.5), rate.text(rate.at(0.5))),
            (1e-4, 0.003162, "0.003162".into())
        );
        assert!(rate.at(1.0) <= 1e-1 && rate.at(f64::NAN.max(0.999)) > 0.09);
        let depth = &space.parameters[2].domain;
        let counts = (0..400).fold([0; 4], |mut counts, at| {
            counts[depth.at((f64::from(at) + 0.5) / 400.0) as usize] += 1;
            counts
        });
        assert_eq!(counts, [100; 4]);
        assert_eq!(space.parameters[0].domain.at(0.99), 1.0);
    }

    #[test]
    fn what_does_not_exist_is_neither_missing_nor_accepted() {
        let space = space();
        let given = [("loss", "mse"), ("rate", "0.01"), ("depth", "2")];
        let mse = space.configuration(&given).unwrap();
        assert_eq!(space.text(&mse), "loss=mse rate=0.01 depth=2");
        assert_eq!(space.structure(&mse), "loss=mse");
        assert_eq!(space.get(&mse, "delta"), None);
        let error = space.configuration(&[("loss", "huber"), ("rate", "0.01"), ("depth", "2")]);
        assert!(error.unwrap_err().to_string().contains("delta is missing"));
        let error = space.configuration(&[("loss", "mse"), ("rate", "0.5"), ("depth", "2")]);
        assert!(error.unwrap_err().to_string().contains("rate is 0.5"));
    }

    #[test]
    fn spaces_that_make_no_sense_are_refused() {
        let refused = |parameters: Vec<Parameter>, word: &str| {
            let error = Space::new(parameters).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused(vec![Parameter::log("rate", 0.0, 1.0)], "rate is 0 to 1");
        refused(vec![Parameter::int("a", 1, 2), Parameter::int("a", 1, 2)], "given twice");
        refused(vec![Parameter::choice("a", &["x", "x"])], "different names");
        refused(vec![Parameter::int("a", 1, 2).when("b", &["x"])], "before it");
        let parent = || Parameter::choice("a", &["x"]);
        refused(vec![parent(), Parameter::int("b", 1, 2).when("a", &["y"])], "known choices");
        let structural = Parameter::int("b", 1, 2).when("a", &["x"]).structural();
        refused(vec![parent(), structural], "structural");
    }
}
