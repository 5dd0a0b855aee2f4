//! What the losses of whole answers behind a linear layer share: their inputs, and the loss of their tokens.

use std::sync::LazyLock;

use super::{Argument, CrossEntropy, Domain, Loss, Role};
use crate::catalogue::Choice;

pub(super) const PREDICTIONS: Argument = Argument {
    name: "predictions",
    shape: "[answers, tokens, features]: what goes into the layer; of pairs all chosen answers, then all rejected ones",
    role: Role::Differentiated,
    domain: Domain::Real,
};

pub(super) const LINEAR_WEIGHT: Argument =
    Argument { name: "linear_weight", shape: "[classes, features]", role: Role::Differentiated, domain: Domain::Real };

pub(super) const LINEAR_BIAS: Argument =
    Argument { name: "linear_bias", shape: "[classes]", role: Role::OptionalDifferentiated, domain: Domain::Real };

pub(super) const TARGETS: Argument = Argument {
    name: "targets",
    shape: "[answers, tokens]: labels, -100 for a token that is left out",
    role: Role::Integers,
    domain: Domain::Label,
};

pub(super) const REFERENCE_CHOSEN: Argument =
    Argument { name: "reference_chosen", shape: "[pairs]", role: Role::Optional, domain: Domain::Real };

pub(super) const REFERENCE_REJECTED: Argument =
    Argument { name: "reference_rejected", shape: "[pairs]", role: Role::Optional, domain: Domain::Real };

const AVERAGE_LOG_PROB: Choice = Choice {
    name: "average_log_prob",
    domain: "true or false",
    meaning: "whether an answer's log-probability is the mean over its tokens, not the sum",
};

/// The options of the loss inside and the one that all have.
pub(super) const fn with_average<const N: usize>(inner: &[Choice]) -> [Choice; N] {
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
pub(crate) fn tokens() -> &'static dyn Loss {
    &*TOKENS
}

/// The labels that [`tokens`] ignores.
pub(super) const IGNORED: &[i64] = &[-100];
