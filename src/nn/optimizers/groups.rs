//! Groups of parameters with options of their own.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Groups of parameters by path: learning rates, frozen layers, weight decay. PyTorch's parameter
/// groups and `requires_grad`; optax `multi_transform`.
///
/// A path is that of a parameter, as [`Model::named_parameters`](crate::Model::named_parameters)
/// lists them, or its beginning up to a dot: `layers.1` names `layers.1.weight` and
/// `layers.1.bias` but nothing of `layers.10`. The empty path names all parameters. Where several
/// lines name a parameter, the last one holds. Parameters that layers share have the path of the
/// layer that owns them.
///
/// Set them with [`Model::set_parameter_groups`](crate::Model::set_parameter_groups).
///
/// ```
/// use gradus::{Dense, Device, Fit, ParameterGroups, Sequential, losses::Mse, optimizers::AdamW};
/// use ndarray::array;
/// let mut model = Sequential::new(1)
///     .then(Dense::new(4))
///     .then(Dense::new(1))
///     .on(&Device::cpu())?
///     .compile(Mse::new(), AdamW::new())?;
/// // Only the last layer is trained, its bias without weight decay.
/// let groups = ParameterGroups::new().decay_only_matrices().freeze("layers.0");
/// model.set_parameter_groups(groups)?;
/// let before = model.named_parameters()?;
/// model.fit(&array![[1.0_f32], [2.0]], &array![[1.0_f32], [2.0]], Fit::new())?;
/// let after = model.named_parameters()?;
/// assert_eq!(before[0], after[0]);
/// assert_ne!(before[2], after[2]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ParameterGroups {
    #[serde(default)]
    decay_only_matrices: bool,
    #[serde(default)]
    rates: Vec<PathRate>,
}

/// The learning-rate factor of a path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct PathRate {
    path: String,
    rate: f64,
}

impl ParameterGroups {
    /// One group: every parameter moves by the optimizer's own options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies the optimizer's `weight_decay` only to parameters with two axes or more: weights,
    /// kernels, tables; not to biases and the scales of norms. Has no effect on an optimizer
    /// without `weight_decay`, and none on the penalties `l1` and `l2` of layers.
    pub fn decay_only_matrices(mut self) -> Self {
        self.decay_only_matrices = true;
        self
    }

    /// Freezes the parameters of a path: no update, no weight decay or penalty, no change of the
    /// optimizer's state. They do not count in the norm of a clip.
    ///
    /// As with PyTorch's `requires_grad = False`, the running statistics of a frozen batch norm
    /// still move, and dropout still drops.
    pub fn freeze(self, path: &str) -> Self {
        self.learning_rate(path, 0.0)
    }

    /// Multiplies the learning rate of the parameters of a path, schedules included: finite and
    /// ≥ 0; 0 freezes them. A weight decay that is multiplied by the learning rate, as AdamW's,
    /// takes the factor too, as in a group of PyTorch.
    pub fn learning_rate(mut self, path: &str, factor: f64) -> Self {
        self.rates.push(PathRate { path: path.into(), rate: factor });
        self
    }

    /// True if some parameters are frozen.
    pub fn freezes(&self) -> bool {
        self.rates.iter().any(|line| line.rate == 0.0)
    }

    /// The learning-rate factor of the parameter with this path.
    pub(crate) fn rate_of(&self, parameter: &str) -> f64 {
        let found = self.rates.iter().rev().find(|line| is_of(parameter, &line.path));
        found.map_or(1.0, |line| line.rate)
    }

    /// True if the weight decay applies to a parameter with this number of axes.
    pub(crate) fn decays(&self, axes: usize) -> bool {
        axes > 1 || !self.decay_only_matrices
    }

    /// Checks the factors, and that each path names one of the parameters.
    pub(crate) fn check<'p>(
        &self,
        parameters: impl Iterator<Item = &'p str> + Clone,
    ) -> Result<()> {
        for PathRate { path, rate } in &self.rates {
            // f32 is what the kernels multiply by.
            if !(*rate >= 0.0 && (*rate as f32).is_finite()) {
                let name = format!("learning_rate of `{path}`");
                return Err(Error::option("parameter groups", &name, rate, "finite and >= 0"));
            }
            if !parameters.clone().any(|parameter| is_of(parameter, path)) {
                let known = prefixes(parameters);
                let known = known.iter().map(String::as_str);
                return Err(Error::unknown("path of parameters", path, known));
            }
        }
        Ok(())
    }
}

/// True if a parameter's path is `path` or continues it behind a dot.
fn is_of(parameter: &str, path: &str) -> bool {
    let rest = parameter.strip_prefix(path);
    rest.is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with('.'))
}

/// The beginnings of the paths, without the parameters' own names, in order.
fn prefixes<'p>(parameters: impl Iterator<Item = &'p str>) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for parameter in parameters {
        for (at, _) in parameter.match_indices('.') {
            let prefix = &parameter[..at];
            if !known.iter().any(|known| known == prefix) {
                known.push(prefix.into());
            }
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [&str; 4] = ["layers.1.weight", "layers.1.bias", "layers.10.bn.weight", "a.b"];

    #[test]
    fn a_path_names_whole_parts_and_the_last_line_holds() {
        let groups = ParameterGroups::new()
            .learning_rate("", 0.5)
            .freeze("layers.1")
            .learning_rate("layers.1.bias", 3.0);
        groups.check(PATHS.into_iter()).unwrap();
        assert_eq!(PATHS.map(|path| groups.rate_of(path)), [0.0, 3.0, 0.5, 0.5]);
        assert!(groups.freezes() && !ParameterGroups::new().freezes());
        assert!(groups.decays(1) && !groups.clone().decay_only_matrices().decays(1));
    }

    #[test]
    fn a_path_of_nothing_is_refused_with_those_that_are_known() {
        let refused =
            |groups: ParameterGroups| groups.check(PATHS.into_iter()).unwrap_err().to_string();
        let message = refused(ParameterGroups::new().freeze("layer"));
        assert!(message.contains("`layer`"), "{message}");
        assert!(message.contains("layers, layers.1, layers.10, layers.10.bn, a"), "{message}");
        for factor in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            let message = refused(ParameterGroups::new().learning_rate("layers", factor));
            assert!(message.contains("finite and >= 0"), "{message}");
        }
    }
}
