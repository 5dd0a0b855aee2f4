//! The kinds of targets that a row-wise loss may take: class indices, dense targets, or either.

use crate::cpu::real::Real;

/// The targets of all rows.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a, R> {
    /// One label per row. Labels out of range have already been rejected or ignored.
    Labels(&'a [i32]),
    /// [rows, columns]
    Dense(&'a [R]),
}

/// The target of one row of a loss that takes both kinds.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a, R> {
    /// A class.
    Label(usize),
    /// One number per class.
    Dense(&'a [R]),
}

/// The target of one row as a loss takes it: `usize` for a class, `&[R]` for one number per class,
/// [`Target`] for either. A loss names one of them as its
/// [`Rowwise::Target`](super::Rowwise::Target) and gets no other.
pub trait RowTarget<'a, R>: Copy {
    /// The targets of all rows.
    type Rows: Copy + Send + Sync;

    /// In words, for messages.
    const TAKES: &'static str;

    /// The targets of all rows, or `None` if they are of the other kind.
    fn of_rows(targets: Targets<'a, R>) -> Option<Self::Rows>;

    /// The target of one row, or `None` if its label is ignored.
    fn of_row(
        rows: Self::Rows,
        index: usize,
        columns: usize,
        is_ignored: impl Fn(i32) -> bool,
    ) -> Option<Self>;

    /// The target for code that serves both kinds.
    fn either(self) -> Target<'a, R>;

    /// The labels of all rows, if the targets are labels.
    fn labels(rows: Self::Rows) -> Option<&'a [i32]>;
}

impl<R> Targets<'_, R> {
    /// In words, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Targets::Labels(_) => "one label per row",
            Targets::Dense(_) => "one number per prediction",
        }
    }
}

impl<'a, R: Real> RowTarget<'a, R> for usize {
    type Rows = &'a [i32];

    const TAKES: &'static str = "one label per row";

    fn of_rows(targets: Targets<'a, R>) -> Option<&'a [i32]> {
        match targets {
            Targets::Labels(labels) => Some(labels),
            Targets::Dense(_) => None,
        }
    }

    #[inline(always)]
    fn of_row(
        rows: &'a [i32],
        index: usize,
        _columns: usize,
        is_ignored: impl Fn(i32) -> bool,
    ) -> Option<usize> {
        let label = rows[index];
        if is_ignored(label) { None } else { Some(label as usize) }
    }

    #[inline(always)]
    fn either(self) -> Target<'a, R> {
        Target::Label(self)
    }

    fn labels(rows: &'a [i32]) -> Option<&'a [i32]> {
        Some(rows)
    }
}

impl<'a, R: Real> RowTarget<'a, R> for &'a [R] {
    type Rows = &'a [R];

    const TAKES: &'static str = "one number per prediction";

    fn of_rows(targets: Targets<'a, R>) -> Option<&'a [R]> {
        match targets {
            Targets::Dense(dense) => Some(dense),
            Targets::Labels(_) => None,
        }
    }

    #[inline(always)]
    fn of_row(
        rows: &'a [R],
        index: usize,
        columns: usize,
        _is_ignored: impl Fn(i32) -> bool,
    ) -> Option<&'a [R]> {
        Some(&rows[index * columns..][..columns])
    }

    #[inline(always)]
    fn either(self) -> Target<'a, R> {
        Target::Dense(self)
    }

    fn labels(_: &'a [R]) -> Option<&'a [i32]> {
        None
    }
}

impl<'a, R: Real> RowTarget<'a, R> for Target<'a, R> {
    type Rows = Targets<'a, R>;

    const TAKES: &'static str = "one label per row or one number per prediction";

    fn of_rows(targets: Targets<'a, R>) -> Option<Targets<'a, R>> {
        Some(targets)
    }

    #[inline(always)]
    fn of_row(
        rows: Targets<'a, R>,
        index: usize,
        columns: usize,
        is_ignored: impl Fn(i32) -> bool,
    ) -> Option<Target<'a, R>> {
        match rows {
            Targets::Labels(labels) => {
                <usize as RowTarget<'a, R>>::of_row(labels, index, columns, is_ignored)
                    .map(Target::Label)
            }
            Targets::Dense(dense) => {
                <&[R]>::of_row(dense, index, columns, is_ignored).map(Target::Dense)
            }
        }
    }

    #[inline(always)]
    fn either(self) -> Target<'a, R> {
        self
    }

    fn labels(rows: Targets<'a, R>) -> Option<&'a [i32]> {
        match rows {
            Targets::Labels(labels) => Some(labels),
            Targets::Dense(_) => None,
        }
    }
}
