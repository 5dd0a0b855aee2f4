//! Checks of a layer: its gradients against central differences, each device against the reference.

use ndarray::ArrayD;

use crate::Result;
use crate::cpu::random::Random;
use crate::nn::layers::Layer;
use crate::runtime::device::Device;
use crate::testing::layer_pass::{LayerGradients, LayerPass};
use crate::testing::report::{
    Bounded, Comparison, FLUSHED, INPUT_ULPS, RESULT_ULPS, Report, ULP, compare,
};

/// Samples of a batch.
const ROWS: usize = 3;

/// Distance of the central differences.
const STEP: f64 = 1.0 / 1024.0;

/// Checks a layer of your own, for samples of shape `input` as of [`LayerPass::new`].
///
/// On the reference, the gradients of the input and of each parameter are compared with central
/// differences of its own outputs. Then the device's output and
/// gradients are compared with those of the reference. Central differences run the layer six times
/// for each of its numbers: take a small one. Inputs are drawn from N(0, 1) by a fixed seed;
/// parameters are the initial ones, moved by up to ¼.
///
/// ```
/// use gradus::layers::{Builder, Residual, Value, closure};
/// use gradus::{Dense, Device, activations::Gelu, testing};
///
/// let block = closure(|builder: &mut Builder, x: Value| {
///     let units = builder.shape(x)[0];
///     builder.layer("dense", &Residual::new(Dense::new(units).activation(Gelu::new())), x)
/// });
/// let report = testing::check_layer(&block, &[5], &Device::cpu())?;
/// assert!(report.passed, "{}", report.place);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// As [`LayerPass::new`]; errors of the layer and of the device. A wrong gradient is no error but a
/// report that has not passed, with the worst number in [`Report::place`].
pub fn check_layer(layer: &dyn Layer, input: &[usize], device: &Device) -> Result<Report> {
    let mut report = Report::new(layer.name().into());
    let mut reference = LayerPass::new(layer, input, ROWS, &Device::reference())?;
    let numbers = Numbers::drawn(&reference);
    let exact = numbers.results(&mut reference)?;
    let compared = [("x", &exact.gradients.input)];
    let parameters = exact.gradients.parameters.iter().map(|(name, of)| (name.as_str(), of));
    for (place, (name, found)) in compared.into_iter().chain(parameters).enumerate() {
        differentiate(&mut reference, &numbers, (place, name), found, &mut report)?;
    }
    report.cases = 1;
    if matches!(device, Device::Reference) {
        return Ok(report);
    }
    let found = numbers.results(&mut LayerPass::new(layer, input, ROWS, device)?)?;
    let bounds = Bounds::of(&mut reference, &numbers, &exact)?;
    report.cases += 1;
    report.add_value(device.name(), "the output", bounds.compare(0, &exact.output, &found.output));
    let pairs = exact.tensors().into_iter().zip(found.tensors()).enumerate().skip(1);
    for (place, ((name, expected), (_, found))) in pairs {
        report.add_gradient(device.name(), name, bounds.compare(place, expected, found));
    }
    Ok(report)
}

/// All that goes into a pass.
#[derive(Clone)]
struct Numbers {
    x: ArrayD<f64>,
    parameters: Vec<(String, ArrayD<f64>)>,
    upstream: ArrayD<f64>,
}

/// How far a device may be from the reference in each tensor of [`Results`].
///
/// A sum of n terms in f32 is the exact sum of terms that are up to n/2 ulp off, in any order. So a
/// node adds INPUT_ULPS + n/2 ulp to what the numbers that go into the layer may be off, n being the
/// longest sum of that node. They are changed by the total of all nodes, up or down at random; the
/// largest change of a tensor is what its numbers may be off, besides RESULT_ULPS of its largest.
struct Bounds {
    tolerances: Vec<f64>,
}

impl Bounds {
    fn of(pass: &mut LayerPass, numbers: &Numbers, exact: &Results) -> Result<Self> {
        let of_node = |terms: usize| INPUT_ULPS + 0.5 * terms as f64;
        let share = ULP * pass.longest_sums().into_iter().map(of_node).sum::<f64>();
        let mut changes = vec![0.0_f64; exact.tensors().len()];
        for seed in 0..4 {
            let found = numbers.perturbed(share, seed).results(pass)?;
            for ((change, (_, here)), (_, found)) in
                changes.iter_mut().zip(exact.tensors()).zip(found.tensors())
            {
                let off = here.iter().zip(found).map(|(here, found)| (here - found).abs());
                *change = off.fold(*change, f64::max);
            }
        }
        let largest = |values: &ArrayD<f64>| values.iter().fold(0.0_f64, |a, x| a.max(x.abs()));
        let results =
            exact.tensors().into_iter().map(|(_, values)| RESULT_ULPS * ULP * largest(values));
        let tolerances = changes.iter().zip(results);
        let tolerances = tolerances.map(|(change, result)| change + result + FLUSHED);
        Ok(Bounds { tolerances: tolerances.collect() })
    }

    fn compare(&self, place: usize, expected: &ArrayD<f64>, found: &ArrayD<f64>) -> Comparison {
        let tolerance = ArrayD::from_elem(expected.raw_dim(), self.tolerances[place]);
        compare(expected, &tolerance, found)
    }
}

/// All that comes out of it.
struct Results {
    output: ArrayD<f64>,
    gradients: LayerGradients,
}

impl Results {
    /// The output, then the gradients, by name.
    fn tensors(&self) -> Vec<(&str, &ArrayD<f64>)> {
        let parameters = self.gradients.parameters.iter();
        [("the output", &self.output), ("x", &self.gradients.input)]
            .into_iter()
            .chain(parameters.map(|(name, of)| (name.as_str(), of)))
            .collect()
    }
}

impl Numbers {
    fn drawn(pass: &LayerPass) -> Self {
        // Rounded to f32, so that all devices begin with the same numbers.
        let rounded = |x: f64| f64::from(x as f32);
        let mut random = Random::new(23, 0);
        let x = ArrayD::from_shape_simple_fn(pass.input_shape(), || rounded(random.normal()));
        let upstream =
            ArrayD::from_shape_simple_fn(pass.output_shape(), || rounded(random.normal()));
        let mut moved = |x: f64| rounded(x + 0.5 * random.uniform() - 0.25);
        let parameters = pass.parameters().into_iter();
        let parameters = parameters.map(|(name, initial)| (name, initial.mapv(&mut moved)));
        Numbers { x, parameters: parameters.collect(), upstream }
    }

    fn place(&self, pass: &mut LayerPass) -> Result<()> {
        self.parameters.iter().try_for_each(|(name, values)| pass.set_parameter(name, values))
    }

    fn results(&self, pass: &mut LayerPass) -> Result<Results> {
        self.place(pass)?;
        let output = pass.forward(&self.x)?;
        Ok(Results { output, gradients: pass.backward(&self.upstream)? })
    }

    /// A tensor that gradients exist for: x, or a parameter.
    fn tensor_mut(&mut self, place: usize) -> &mut ArrayD<f64> {
        match place.checked_sub(1).and_then(|number| self.parameters.get_mut(number)) {
            Some((_, values)) => values,
            None => &mut self.x,
        }
    }

    /// Changes one number of such a tensor; returns it as it was.
    fn replace(&mut self, place: usize, element: usize, change: impl Fn(f64) -> f64) -> f64 {
        let slot = self.tensor_mut(place).iter_mut().nth(element);
        slot.map_or(0.0, |slot| std::mem::replace(slot, change(*slot)))
    }

    /// Each number changed by a relative amount of either sign.
    fn perturbed(&self, share: f64, seed: u64) -> Self {
        let (mut all, mut random) = (self.clone(), Random::new(seed, 1));
        let mut change =
            |x: f64| x * if random.uniform() < 0.5 { 1.0 - share } else { 1.0 + share };
        all.x.mapv_inplace(&mut change);
        all.upstream.mapv_inplace(&mut change);
        all.parameters.iter_mut().for_each(|(_, values)| values.mapv_inplace(&mut change));
        all
    }
}

/// Σ upstream · y with one number moved, and the sum of magnitudes.
fn moved(
    pass: &mut LayerPass,
    numbers: &mut Numbers,
    (place, element): (usize, usize),
    by: f64,
) -> Result<[f64; 2]> {
    let exact = numbers.replace(place, element, |x| x + by);
    numbers.place(pass)?;
    let y = pass.forward(&numbers.x)?;
    numbers.replace(place, element, |_| exact);
    let products = y.iter().zip(&numbers.upstream).map(|(y, upstream)| y * upstream);
    Ok(products.fold([0.0, 0.0], |[sum, size], x| [sum + x, size + x.abs()]))
}

/// Compares the gradient of one tensor with central differences. Next to a kink the differences of
/// h and 2h disagree, and only then is an element skipped, at most one in ten.
fn differentiate(
    pass: &mut LayerPass,
    numbers: &Numbers,
    (place, name): (usize, &str),
    found: &ArrayD<f64>,
    report: &mut Report,
) -> Result<()> {
    let (mut numbers, mut skipped) = (numbers.clone(), 0);
    let mut expected = found.clone();
    let mut tolerance = ArrayD::from_elem(found.raw_dim(), FLUSHED);
    for (element, (expected, tolerance)) in expected.iter_mut().zip(&mut tolerance).enumerate() {
        let mut at = |steps: f64| moved(pass, &mut numbers, (place, element), steps * STEP);
        let [[a, _], [b, _], [c, _]] = [at(-4.0)?, at(-2.0)?, at(-1.0)?];
        let [[d, size], [e, _], [f, _]] = [at(1.0)?, at(2.0)?, at(4.0)?];
        let fine = (b - 8.0 * c + 8.0 * d - e) / (12.0 * STEP);
        let coarse = (a - 8.0 * b + 8.0 * e - f) / (24.0 * STEP);
        let scale = 1.0 + size + fine.abs();
        // The differences err by h⁴/30 and 16 h⁴/30 of the fifth derivative: where they agree to
        // 1e-7, the finer one errs by a sixteenth of it, and rounding, 20 units of f64 of the sum
        // over h, is 3e-12.
        match (fine - coarse).abs() <= 1e-7 * scale {
            true => (*expected, *tolerance) = (fine, 1e-8 * scale),
            false => skipped += 1,
        }
    }
    let is_unchecked = skipped == found.len() && skipped > 0;
    if is_unchecked || skipped * 10 > found.len() + 10 {
        report.refuse(format!("{name}: {skipped} of {} elements lie at kinks", found.len()));
    }
    report.add_gradient(
        "central differences",
        name,
        Bounded { expected, tolerance }.compare(found),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::activations::Relu;
    use crate::nn::layers::Dense;

    /// The report of the gradients of x and the weights of a dense layer, with one number of them
    /// moved.
    fn report_of(layer: &Dense, by: f64) -> Report {
        let mut pass = LayerPass::new(layer, &[4], ROWS, &Device::reference()).unwrap();
        let numbers = Numbers::drawn(&pass);
        let mut exact = numbers.results(&mut pass).unwrap().gradients;
        exact.input[[1, 2]] += by;
        let mut report = Report::new("dense".into());
        differentiate(&mut pass, &numbers, (0, "x"), &exact.input, &mut report).unwrap();
        let (name, found) = &exact.parameters[0];
        differentiate(&mut pass, &numbers, (1, name), found, &mut report).unwrap();
        report
    }

    #[test]
    fn a_wrong_gradient_is_found_by_its_place() {
        let layer = Dense::new(5).activation(Relu);
        assert!(report_of(&layer, 0.0).passed, "{}", report_of(&layer, 0.0).place);
        for wrong in [1e-5, f64::NAN] {
            let report = report_of(&layer, wrong);
            assert!(!report.passed);
            assert!(
                report.place.contains("x of central differences: element 6"),
                "{}",
                report.place
            );
        }
    }

    /// Of layers whose sums are short beside the numbers of a batch, and of many nodes of which few
    /// have sums, a part in 10⁴ is found.
    #[test]
    fn bounds_are_of_the_sums_of_each_node() {
        use crate::Sequential;
        use crate::nn::layers::{LayerNorm, Residual};
        let block = || Residual::new(Dense::new(16).activation(Relu));
        let deep = Sequential::block().then(block()).then(block()).then(block());
        let cases: [(&dyn Layer, &[usize]); 2] = [(&LayerNorm::new(), &[24, 8]), (&deep, &[16])];
        for (layer, input) in cases {
            let mut pass = LayerPass::new(layer, input, ROWS, &Device::reference()).unwrap();
            let numbers = Numbers::drawn(&pass);
            let exact = numbers.results(&mut pass).unwrap();
            let bounds = Bounds::of(&mut pass, &numbers, &exact).unwrap();
            for (place, (name, tensor)) in exact.tensors().into_iter().enumerate() {
                let wrong = bounds.compare(place, tensor, &tensor.mapv(|x| x * 1.0001));
                assert!(!wrong.passed(), "{name} of {}", layer.name());
            }
            let report = check_layer(layer, input, &Device::cpu()).unwrap();
            assert!(report.passed, "{}", report.place);
        }
    }

    #[test]
    fn bounds_of_a_device_are_wider_than_its_roundings_and_find_a_wrong_thousandth() {
        let layer = Dense::new(6);
        let mut pass = LayerPass::new(&layer, &[5], ROWS, &Device::reference()).unwrap();
        let numbers = Numbers::drawn(&pass);
        let exact = numbers.results(&mut pass).unwrap();
        let bounds = Bounds::of(&mut pass, &numbers, &exact).unwrap();
        for (place, (name, tensor)) in exact.tensors().into_iter().enumerate() {
            assert!(bounds.compare(place, tensor, &tensor.mapv(|x| f64::from(x as f32))).passed());
            assert!(!bounds.compare(place, tensor, &tensor.mapv(|x| x * 1.001)).passed(), "{name}");
            assert!(!bounds.compare(place, tensor, &tensor.mapv(|_| f64::NAN)).passed(), "{name}");
        }
    }
}
