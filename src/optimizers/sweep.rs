//! The loops of an optimizer's step over the parameters, their gradients and their states.

use super::{Rule, Segment, State, Step};
use crate::real::Real;

/// The buffers of one step, all cut alike; a state that the optimizer has not is empty.
#[derive(Debug)]
pub struct Slices<'a, R> {
    pub(crate) parameters: &'a mut [R],
    pub(crate) gradients: &'a [R],
    pub(crate) first: &'a mut [R],
    pub(crate) second: &'a mut [R],
    /// Of the whole gradient; 1 leaves its bits as they are.
    pub(crate) factor: R,
}

/// The derivative of the regularisation: l1 sign w + 2 l2 w.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Penalty {
    pub l1: f64,
    pub l2: f64,
}

impl<'a, R: Real> Slices<'a, R> {
    /// Itself at f32 if that is what R is.
    pub(super) fn into_single(self) -> Result<Slices<'a, f32>, Self> {
        if R::as_single(self.gradients).is_none() {
            return Err(self);
        }
        let Slices { parameters, gradients, first, second, factor } = self;
        Ok(Slices {
            factor: f32::new(factor.to_f64()),
            parameters: R::as_single_mut(parameters).unwrap_or_default(),
            gradients: R::as_single(gradients).unwrap_or_default(),
            first: R::as_single_mut(first).unwrap_or_default(),
            second: R::as_single_mut(second).unwrap_or_default(),
        })
    }

    /// Itself at f64 if that is what R is.
    pub(super) fn into_double(self) -> Option<Slices<'a, f64>> {
        Some(Slices {
            factor: self.factor.to_f64(),
            parameters: R::as_double_mut(self.parameters)?,
            gradients: R::as_double(self.gradients)?,
            first: R::as_double_mut(self.first)?,
            second: R::as_double_mut(self.second)?,
        })
    }

    /// Cut at an index; a missing state is missing on both sides.
    fn split_at(self, index: usize) -> (Self, Self) {
        let (parameters, parameters_behind) = self.parameters.split_at_mut(index);
        let (gradients, gradients_behind) = self.gradients.split_at(index);
        let (first, first_behind) = self.first.split_at_mut(index.min(self.first.len()));
        let (second, second_behind) = self.second.split_at_mut(index.min(self.second.len()));
        let factor = self.factor;
        (
            Slices { parameters, gradients, first, second, factor },
            Slices {
                factor,
                parameters: parameters_behind,
                gradients: gradients_behind,
                first: first_behind,
                second: second_behind,
            },
        )
    }

    /// `work` on each segment with its penalty; on all at once where there is no segment.
    pub(super) fn by_segment(self, segments: &[Segment], work: impl Fn(Option<Penalty>, Slices<'_, R>)) {
        let (mut rest, mut start) = (self, 0);
        for segment in segments {
            let (part, behind) = rest.split_at(segment.end - start);
            let regularized = segment.l1 != 0.0 || segment.l2 != 0.0;
            work(regularized.then_some(Penalty { l1: segment.l1, l2: segment.l2 }), part);
            (rest, start) = (behind, segment.end);
        }
        if !rest.parameters.is_empty() {
            work(None, rest);
        }
    }

    /// `work` on pieces of at most `length`, on all cores. The elements do not depend on each other, so neither do the bits on the cut.
    pub(super) fn in_pieces(self, length: usize, work: &(impl Fn(Slices<'_, R>) + Sync)) {
        let count = self.parameters.len();
        if count <= length {
            return work(self);
        }
        // Rounded down to whole pieces; above one piece that leaves something on both sides.
        let middle = (count.div_ceil(length) / 2) * length;
        let (left, right) = self.split_at(middle);
        rayon::join(|| left.in_pieces(length, work), || right.in_pieces(length, work));
    }

    /// The step itself, one loop for each number of states so that each vectorises.
    #[inline(always)]
    pub(super) fn update_all(self, rule: &impl Rule, step: &Step<R>, penalty: Option<Penalty>) {
        // Options behind a reference would be read again for each parameter, since the parameters might lie over them.
        let (rule, step) = (&rule.clone(), &step.clone());
        match penalty {
            None => self.update_each(
                rule,
                step,
                #[inline(always)]
                |_, gradient| gradient,
            ),
            Some(Penalty { l1, l2 }) => {
                let (l1, twice_l2) = (R::new(l1), R::new(2.0 * l2));
                self.update_each(
                    rule,
                    step,
                    #[inline(always)]
                    |parameter, gradient| gradient + l1 * parameter.sign() + twice_l2 * parameter,
                );
            }
        }
    }

    #[inline(always)]
    fn update_each(self, rule: &impl Rule, step: &Step<R>, penalized: impl Fn(R, R) -> R) {
        let Slices { parameters, gradients, first, second, factor } = self;
        let penalized = |parameter, gradient| factor * penalized(parameter, gradient);
        let moves = parameters.iter_mut().zip(gradients);
        if first.is_empty() {
            for (parameter, &gradient) in moves {
                let state = State { first: R::ZERO, second: R::ZERO };
                *parameter = rule.update(*parameter, penalized(*parameter, gradient), state, step).parameter;
            }
        } else if second.is_empty() {
            for ((parameter, &gradient), first) in moves.zip(first) {
                let state = State { first: *first, second: R::ZERO };
                let update = rule.update(*parameter, penalized(*parameter, gradient), state, step);
                (*parameter, *first) = (update.parameter, update.state.first);
            }
        } else {
            for (((parameter, &gradient), first), second) in moves.zip(first).zip(second) {
                let state = State { first: *first, second: *second };
                let update = rule.update(*parameter, penalized(*parameter, gradient), state, step);
                (*parameter, *first, *second) = (update.parameter, update.state.first, update.state.second);
            }
        }
    }
}
