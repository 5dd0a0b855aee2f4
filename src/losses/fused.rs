//! Shared parts of the losses fused with the preceding linear layer: the struct, the inputs, and
//! the token loss of completions.

use std::sync::LazyLock;

use crate::catalogue::{Entry, OptionDoc};
use crate::losses::cross_entropy::CrossEntropy;
use crate::templates::argument::{Argument, Domain, Role};
use crate::templates::completions::cpu::CompletionsTemplate;
use crate::templates::definition::{LossDefinition, SeveralInputs, Spec};
use crate::templates::linear::cpu::LinearTemplate;
use crate::{Error, Result};

/// Defines a loss of the outputs of a linear layer (`pub struct LinearJsd of Jsd;`) or of the
/// log-probabilities of completions under it (`of Dpo { average_log_prob: bool = false }`), with
/// its inputs; or of the log-probabilities of their tokens (`of Grpo by tokens`). Everything else
/// comes from the inner loss.
macro_rules! fused {
    (
        $(#[$meta:meta])*
        pub struct $name:ident of $inner:ident $({ $average:ident: bool = $default:literal })? $(by $tokens:ident)?;
        takes $arguments:expr;
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            #[serde(flatten)]
            inner: $inner,
            $($average: bool,)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self::of($inner::default())
            }
        }

        impl $name {
            const OPTIONS: &'static [$crate::catalogue::OptionDoc] = fused!(@options $inner $($average)?);

            #[doc = concat!("With the default options of [`", stringify!($inner), "`].")]
            pub fn new() -> Self {
                Self::default()
            }

            #[doc = concat!("With the options of this [`", stringify!($inner), "`].")]
            pub fn of(inner: $inner) -> Self {
                Self { inner, $($average: $default)? }
            }

            $(/// If set, a completion's log-probability is the mean over its tokens instead of the sum.
            #[doc = concat!("\n\nDefault `", stringify!($default), "`.")]
            #[must_use]
            pub fn $average(mut self, $average: bool) -> Self {
                self.$average = $average;
                self
            })?
        }

        impl Options for $name {
            fn check_domains(&self) -> Result<()> {
                in_the_name_of(&ENTRY, self.inner.check())
            }
        }

        const ARGUMENTS: &[Argument] = $arguments;

        impl LossDefinition for $name {
            catalogued!(entry, options);

            fn check(&self) -> Result<()> {
                Options::check_domains(self)
            }

            fn spec(&self) -> Spec<'_> {
                fused!(@spec self $($average)? $(by $tokens)?)
            }

            fn constants(&self) -> Vec<(&'static str, f64)> {
                self.inner.constants()
            }
        }
    };
    (@options $inner:ident) => { $inner::OPTIONS };
    (@options $inner:ident $average:ident) => { &with_average::<{ $inner::OPTIONS.len() + 1 }>($inner::OPTIONS) };
    (@spec $self:ident by $tokens:ident) => {
        $crate::losses::fused::completions(ENTRY.name, &$self.inner, ARGUMENTS, false)
    };
    (@spec $self:ident) => {
        $crate::losses::fused::linear(ENTRY.name, &$self.inner, ARGUMENTS)
    };
    (@spec $self:ident $average:ident) => {
        $crate::losses::fused::completions(ENTRY.name, &$self.inner, ARGUMENTS, $self.$average)
    };
}
pub(super) use fused;

/// The spec of a loss on the outputs of a linear layer.
pub(super) fn linear<'a>(
    name: &'static str,
    inner: &'a dyn LossDefinition,
    arguments: &'static [Argument],
) -> Spec<'a> {
    let cpu = LinearTemplate { name, inner };
    Spec {
        inner: Some(inner),
        ignored: inner.ignored(),
        ..Spec::several(SeveralInputs::Linear, Box::new(cpu), arguments)
    }
}

/// The spec of a loss on the log-probabilities of completions.
pub(super) fn completions<'a>(
    name: &'static str,
    inner: &'a dyn LossDefinition,
    arguments: &'static [Argument],
    averages: bool,
) -> Spec<'a> {
    let cpu = CompletionsTemplate { name, inner, tokens: tokens(), averages };
    let kernel = SeveralInputs::Completions { tokens: tokens(), averages };
    Spec {
        inner: Some(inner),
        ignored: tokens().ignored(),
        ..Spec::several(kernel, Box::new(cpu), arguments)
    }
}

/// Converts an error of the inner loss into one with the fused loss's name.
pub(super) fn in_the_name_of(fused: &Entry<dyn LossDefinition>, checked: Result<()>) -> Result<()> {
    checked.map_err(|error| match error {
        Error::Option { name, found, allowed, .. } => {
            Error::Option { owner: fused.name.into(), name, found, allowed }
        }
        other => other,
    })
}

pub(super) const PREDICTIONS: Argument = Argument {
    name: "predictions",
    shape: "[rows, features]: what goes into the layer",
    role: Role::Differentiated,
    domain: Domain::Real,
};

pub(super) const WEIGHT_OF_CLASSES: Argument = Argument {
    name: "class_weight",
    shape: "[classes]: weight of each class",
    role: Role::Optional,
    domain: Domain::NonNegative,
};

pub(super) const ANSWERS: Argument = Argument {
    name: "predictions",
    shape: "[completions, tokens, features]: the input of the layer; for pairs, all chosen completions first, then all rejected ones",
    role: Role::Differentiated,
    domain: Domain::Real,
};

pub(super) const LINEAR_WEIGHT: Argument = Argument {
    name: "linear_weight",
    shape: "[classes, features]",
    role: Role::Differentiated,
    domain: Domain::Real,
};

pub(super) const LINEAR_BIAS: Argument = Argument {
    name: "linear_bias",
    shape: "[classes]",
    role: Role::OptionalDifferentiated,
    domain: Domain::Real,
};

pub(super) const COMPLETION_LABELS: Argument = Argument {
    name: "targets",
    shape: "[completions, tokens]: labels, -100 for an ignored token",
    role: Role::Integers,
    domain: Domain::Label,
};

pub(super) const REFERENCE_CHOSEN: Argument = Argument {
    name: "reference_chosen",
    shape: "[pairs]",
    role: Role::Optional,
    domain: Domain::Real,
};

pub(super) const REFERENCE_REJECTED: Argument = Argument {
    name: "reference_rejected",
    shape: "[pairs]",
    role: Role::Optional,
    domain: Domain::Real,
};

const AVERAGE_LOG_PROB: OptionDoc = OptionDoc {
    name: "average_log_prob",
    domain: "true or false",
    meaning: "whether a completion's log-probability is the mean over its tokens, not the sum",
};

/// The options of the inner loss, followed by the common option.
pub(super) const fn with_average<const N: usize>(inner: &[OptionDoc]) -> [OptionDoc; N] {
    let mut all = [AVERAGE_LOG_PROB; N];
    let mut i = 0;
    while i < inner.len() {
        all[i] = inner[i];
        i += 1;
    }
    all
}

static TOKENS: LazyLock<CrossEntropy> = LazyLock::new(CrossEntropy::default);

/// The loss of each token: its negative log-probability; label −100 is ignored.
pub(crate) fn tokens() -> &'static dyn LossDefinition {
    &*TOKENS
}
