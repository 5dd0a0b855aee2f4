//! Inputs of a loss: names, shapes, roles and the domains of their numbers.

/// An optional input of a loss, described for users.
#[derive(Debug)]
pub struct Input {
    /// Its name: `class_weight`.
    pub name: &'static str,
    /// Its shape in words.
    pub shape: &'static str,
}

/// Inputs of one number per column other than `pos_weight`. A loss takes at most one of them.
const OF_COLUMNS: [&str; 4] = ["class_weight", "class_prior", "expected_count", "noise"];

/// The one of `inputs` that has one number per column, in the kernels the class weight.
pub(crate) fn of_columns(inputs: &[Input]) -> Option<&'static str> {
    inputs.iter().map(|input| input.name).find(|name| OF_COLUMNS.contains(name))
}

/// An input of a multi-input loss ([`Template::Several`](super::definition::Template::Several)), in
/// the order in which its template takes them.
#[derive(Debug)]
pub struct Argument {
    /// Its name: `anchor`.
    pub name: &'static str,
    /// Its shape in words.
    pub shape: &'static str,
    /// Its role in the loss.
    pub role: Role,
    /// The domain of its numbers.
    pub domain: Domain,
}

/// Role of an input of a multi-input loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// Required numbers. The loss computes their gradient.
    Differentiated,
    /// As `Differentiated`, but optional.
    OptionalDifferentiated,
    /// Required numbers without a gradient.
    Fixed,
    /// Optional numbers without a gradient.
    Optional,
    /// Required integers: labels, lengths.
    Integers,
    /// As `Integers`, but optional.
    OptionalIntegers,
    /// Required class labels, which are integers, or one number per class.
    Classes,
}

impl Role {
    /// True if the loss computes its gradient.
    pub fn is_differentiated(self) -> bool {
        matches!(self, Role::Differentiated | Role::OptionalDifferentiated)
    }

    /// True if it is optional.
    pub fn is_optional(self) -> bool {
        matches!(self, Role::OptionalDifferentiated | Role::Optional | Role::OptionalIntegers)
    }

    /// True if it holds integers, or may hold them.
    pub fn is_integers(self) -> bool {
        matches!(self, Role::Integers | Role::OptionalIntegers | Role::Classes)
    }

    /// True if it may hold numbers in place of integers.
    pub fn takes_numbers(self) -> bool {
        !matches!(self, Role::Integers | Role::OptionalIntegers)
    }
}

/// Domain of an input's numbers. Checked where the values are visible to the host; the tests draw
/// their inputs from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Domain {
    /// Any number.
    Real,
    /// Any number. The loss takes its exponential, which overflows to ∞ in f32 from 88.8 on.
    Exponent,
    /// Any numbers. Only the softmax of each row matters.
    Logits,
    /// Greater than 0.
    Positive,
    /// Greater than or equal to 0.
    NonNegative,
    /// Greater than or equal to 0. Near 0 the loss substitutes another number, so no derivative can
    /// be checked there.
    Variance,
    /// −1 or +1.
    Sign,
    /// 0 or 1.
    ZeroOne,
    /// In [−1, 1].
    Cosine,
    /// In [0, 1].
    Probability,
    /// Logarithms of probabilities that sum to 1 in each row.
    LogDistribution,
    /// The logarithm of a probability: at most 0.
    LogProbability,
    /// Non-negative; a distribution in each row.
    Distribution,
    /// One class label per row, or one distribution per row.
    Class,
    /// One class label per row.
    Label,
    /// Relevance of each item of a list, at least 0. Negative values mark padding.
    Relevance,
    /// As `Relevance`, at most 100, because the loss computes 2 to its power.
    Grade,
    /// Time of an event or of the last observation, at least 0. Negative values mark padding.
    Time,
    /// Several classes per row, as numbers of shape [rows, classes]. The list of a row ends at its
    /// first −1.
    ClassList,
}

impl Domain {
    /// True if targets of this domain may be labels.
    pub fn takes_labels(self) -> bool {
        matches!(self, Domain::Class | Domain::Label)
    }

    /// True if targets of this domain may be dense: as many numbers as there are predictions.
    pub fn takes_dense(self) -> bool {
        self != Domain::Label
    }

    /// True if a negative target excludes its item from the list.
    pub fn pads(self) -> bool {
        matches!(self, Domain::Relevance | Domain::Grade)
    }
}
