//! One generic `run` per template of multi-input losses, for both precisions.

use crate::Result;
use crate::templates::multi_input::cpu::{
    DivisorTerms, Example, MultiInput, MultiInputCpu, Shapes, Units,
};
use crate::templates::precision::CpuReal;

/// A template of multi-input losses, as it is written: [`MultiInputCpu`] with one generic `run` in
/// place of one per precision. Its methods are documented there.
pub(crate) trait MultiInputTemplate {
    fn units(&self, shapes: &Shapes) -> Result<Units>;

    fn example(&self, rows: usize, columns: usize) -> Vec<Example>;

    fn derives_its_value(&self) -> bool {
        true
    }

    fn divisor_terms(&self, _call: &MultiInput<'_, f32>) -> Result<DivisorTerms> {
        Ok(DivisorTerms::default())
    }

    fn clear(&self, _call: &mut MultiInput<'_, f32>) -> Result<()> {
        Ok(())
    }

    fn run<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()>;
}

impl<T: MultiInputTemplate> MultiInputCpu for T {
    fn units(&self, shapes: &Shapes) -> Result<Units> {
        MultiInputTemplate::units(self, shapes)
    }

    fn example(&self, rows: usize, columns: usize) -> Vec<Example> {
        MultiInputTemplate::example(self, rows, columns)
    }

    fn derives_its_value(&self) -> bool {
        MultiInputTemplate::derives_its_value(self)
    }

    fn divisor_terms(&self, call: &MultiInput<'_, f32>) -> Result<DivisorTerms> {
        MultiInputTemplate::divisor_terms(self, call)
    }

    fn clear(&self, call: &mut MultiInput<'_, f32>) -> Result<()> {
        MultiInputTemplate::clear(self, call)
    }

    fn run_f32(
        &self,
        call: &MultiInput<'_, f32>,
        gradients: &mut [Vec<f32>],
        values: &mut [f32],
    ) -> Result<()> {
        self.run(call, gradients, values)
    }

    fn run_f64(
        &self,
        call: &MultiInput<'_, f64>,
        gradients: &mut [Vec<f64>],
        values: &mut [f64],
    ) -> Result<()> {
        self.run(call, gradients, values)
    }
}
