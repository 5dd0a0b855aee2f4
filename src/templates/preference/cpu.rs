//! Preference losses on the CPU: up to four numbers per value, the first one or two differentiated.
//! CPU implementation of `shaders/templates/preference/preference.wgsl`.

use crate::Result;
use crate::cpu::real::Real;
use crate::templates::argument::Argument;
use crate::templates::multi_input::cpu::{DivisorTerms, Example, MultiInput, Shapes, Units};
use crate::templates::multi_input::template::MultiInputTemplate;
use crate::templates::precision::CpuReal;
use crate::templates::preference::{Preference, PreferenceTerms};

/// Kernel template around a loss.
pub struct PreferenceTemplate<'a, L> {
    /// The loss function.
    pub loss: &'a L,
    /// The loss's inputs.
    pub arguments: &'static [Argument],
}

/// NaN in, NaN out: a comparison in the loss function would hide it.
fn guarded<R: Real, L: Preference>(loss: &L, numbers: [R; 4]) -> PreferenceTerms<R> {
    if numbers.iter().any(|x| x.is_nan()) {
        return PreferenceTerms { value: R::NAN, derivatives: [R::NAN; 2] };
    }
    loss.terms(numbers)
}

impl<L: Preference> MultiInputTemplate for PreferenceTemplate<'_, L> {
    fn units(&self, shapes: &Shapes) -> Result<Units> {
        let arguments = self.arguments;
        let first = arguments[0].name;
        let shape = shapes.of(first)?.to_vec();
        for argument in &arguments[1..] {
            shapes.require(argument.name, &shape, first)?;
        }
        Ok(Units { rows: shape.first().copied().unwrap_or(1), shape })
    }

    fn example(&self, rows: usize, columns: usize) -> Vec<Example> {
        // Optional inputs are omitted in some of the examples.
        let is_given = |optional: bool| !optional || !rows.is_multiple_of(3);
        let arguments =
            self.arguments.iter().filter(|argument| is_given(argument.role.is_optional()));
        arguments.map(|argument| Example::of(argument.name, &[rows, columns])).collect()
    }

    fn divisor_terms(&self, call: &MultiInput<'_, f32>) -> Result<DivisorTerms> {
        self.loss.check_numbers(call)?;
        Ok(DivisorTerms::default())
    }

    /// Single-threaded: the number of values is the number of sequence pairs in a batch.
    fn run<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        let arguments = self.arguments;
        let arrays: Vec<Option<&[R]>> = arguments
            .iter()
            .map(|argument| call.array(argument.name).map(|array| &*array.values))
            .collect();
        for (i, value) in values.iter_mut().enumerate() {
            let mut numbers = [R::ZERO; 4];
            for (number, array) in numbers.iter_mut().zip(&arrays) {
                *number = array.map_or(R::ZERO, |array| array[i]);
            }
            let (mut found, mut derivatives) = (R::ZERO, [R::ZERO; 2]);
            if let Some(weight) = call.weight_of(i) {
                let terms = guarded(self.loss, numbers);
                let partial = weight * call.upstream_of(i);
                (found, derivatives) = (
                    weight * terms.value,
                    terms.derivatives.map(|derivative| partial * derivative),
                );
            }
            *value = found;
            for (gradient, partial) in gradients.iter_mut().zip(derivatives) {
                gradient[i] = partial;
            }
        }
        Ok(())
    }
}
