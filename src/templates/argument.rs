//! Inputs of a loss: names, shapes, roles and the domains of their numbers.

/// An optional input of a loss, for people.
#[derive(Debug)]
pub struct Input {
    /// The name: `class_weight`.
    pub name: &'static str,
    /// Its shape in words.
    pub shape: &'static str,
}

/// An input of a loss of several inputs ([`super::Template::Several`]), in the order in which its frame takes them.
#[derive(Debug)]
pub struct Argument {
    /// The name: `anchor`.
    pub name: &'static str,
    /// Its shape in words.
    pub shape: &'static str,
    /// What it is to the loss.
    pub role: Role,
    /// What its numbers are.
    pub domain: Domain,
}

/// What an input is to a loss of several inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// Numbers that must be given; the loss gives a gradient for them.
    Differentiated,
    /// As `Differentiated`, and may be left out.
    OptionalDifferentiated,
    /// Numbers that must be given.
    Fixed,
    /// Numbers that may be left out.
    Optional,
    /// Whole numbers that must be given: labels, lengths.
    Integers,
}

impl Role {
    /// Whether the loss gives a gradient for it.
    pub fn is_differentiated(self) -> bool {
        matches!(self, Role::Differentiated | Role::OptionalDifferentiated)
    }

    /// Whether it may be left out.
    pub fn is_optional(self) -> bool {
        matches!(self, Role::OptionalDifferentiated | Role::Optional)
    }

    /// Whether it holds whole numbers.
    pub fn is_integers(self) -> bool {
        self == Role::Integers
    }
}

/// What the numbers of an input are: checked where the host sees them, and drawn from by the tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Domain {
    /// Any number.
    Real,
    /// Any number, of which the exponential is taken: that is ∞ in f32 from 88.8 on.
    Exponent,
    /// Any numbers, of which the softmax of each row is what counts.
    Logits,
    /// Above 0.
    Positive,
    /// From 0 on.
    NonNegative,
    /// From 0 on; near 0 the loss takes another number in its place, where no derivative can be checked.
    Variance,
    /// −1 or +1.
    Sign,
    /// 0 or 1.
    ZeroOne,
    /// From −1 to 1.
    Cosine,
    /// From 0 to 1.
    Probability,
    /// Logarithms of probabilities that add up to 1 in each row.
    LogDistribution,
    /// The logarithm of a probability: 0 or below.
    LogProbability,
    /// Not negative; a distribution in each row.
    Distribution,
    /// A class label for each row, or a distribution in each row.
    Class,
    /// A class label for each row.
    Label,
    /// How relevant each item of a list is, from 0 on; below 0 it is padding.
    Relevance,
    /// As `Relevance`, of which 2 to the power is taken: up to 100.
    Grade,
    /// Several classes for each row, as numbers: [rows, classes], a row's list ended by its first −1.
    ClassList,
}

impl Domain {
    /// Whether targets of this kind may be labels.
    pub fn takes_labels(self) -> bool {
        matches!(self, Domain::Class | Domain::Label)
    }

    /// Whether targets of this kind may be numbers, as many as predictions.
    pub fn takes_dense(self) -> bool {
        self != Domain::Label
    }

    /// Whether a target below 0 takes its item out of the list.
    pub fn pads(self) -> bool {
        matches!(self, Domain::Relevance | Domain::Grade)
    }
}
