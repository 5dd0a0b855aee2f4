//! User-defined losses: WGSL text and a CPU closure, created at runtime.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::catalogue::Entry;
use crate::cpu::real::Real;
use crate::runtime::wgsl;
use crate::runtime::wgsl::File;
use crate::templates::argument::Domain;
use crate::templates::definition::{LossDefinition, Spec};
use crate::templates::pointwise::Pointwise;
use crate::{Error, Result};

/// Value and derivative at one element, in f64.
type CpuFunction = dyn Fn(f64, f64) -> (f64, f64) + Send + Sync;

const NUMBERS: File = crate::runtime::wgsl::shader!("lib/numbers.wgsl");
const STRUCT: &str = "struct Loss { value: f32, derivative: f32 }\n";
const FRAME: &str =
    "struct Loss { value: f32, derivative: f32 }\nfn called() -> Loss { return loss(0.0, 0.0); }\n";

/// A user-defined pointwise loss; created by [`super::custom`].
#[derive(Clone)]
pub struct Custom {
    entry: &'static Entry<dyn LossDefinition>,
    cpu: Arc<CpuFunction>,
    predictions: Domain,
    targets: Domain,
}

impl Custom {
    /// Compiles the text; see [`super::custom`] for its required contents.
    pub(super) fn new(
        name: &str,
        text: &str,
        cpu: impl Fn(f64, f64) -> (f64, f64) + Send + Sync + 'static,
    ) -> Result<Self> {
        let name: &'static str = Box::leak(name.to_string().into_boxed_str());
        let shader = File::new(name, Box::leak(text.to_string().into_boxed_str()));
        // The template's declarations and a call: an invalid text fails here instead of at the
        // first use.
        wgsl::check_own(shader, &[NUMBERS], STRUCT)?;
        wgsl::validate(name, FRAME, &[NUMBERS, shader])?;
        let entry: Entry<dyn LossDefinition> = Entry {
            name,
            summary: "a loss of the user's own",
            formula: "",
            options: &[],
            torch: "",
            keras: "",
            optax: "",
            source: "",
            variants: &[],
            shader,
            make: |_| {
                Err(Error::option("custom", "make", "a name alone", "made with `losses::custom`"))
            },
        };
        let cpu = Arc::new(cpu);
        Ok(Custom {
            entry: Box::leak(Box::new(entry)),
            cpu,
            predictions: Domain::Real,
            targets: Domain::Real,
        })
    }

    /// Sets the domain of the predictions (default [`Domain::Real`]), from which
    /// [`crate::testing::check`] draws.
    pub fn predictions(mut self, domain: Domain) -> Self {
        self.predictions = domain;
        self
    }

    /// Sets the domain of the targets (default [`Domain::Real`]), from which the checks draw.
    /// Targets outside it are rejected if they are arrays in host memory.
    pub fn targets(mut self, domain: Domain) -> Self {
        self.targets = domain;
        self
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").field("name", &self.entry.name).finish_non_exhaustive()
    }
}

impl LossDefinition for Custom {
    fn entry(&self) -> &'static Entry<dyn LossDefinition> {
        self.entry
    }

    fn options(&self) -> Value {
        Value::Object(serde_json::Map::new())
    }

    fn spec(&self) -> Spec<'_> {
        Spec { predictions: self.predictions, targets: self.targets, ..Spec::pointwise(self) }
    }
}

impl Pointwise for Custom {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let (value, derivative) = (self.cpu)(prediction.to_f64(), truth.to_f64());
        (R::new(value), R::new(derivative))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::losses::{Loss, custom};
    use crate::runtime::device::test_adapter::{each_device, gpu};
    use crate::{Device, testing};

    const SQUARE: &str = "fn loss(prediction: f32, truth: f32) -> Loss {
        let e = prediction - truth;
        return Loss(e * e, 2.0 * e);
    }";

    fn square(x: f64, y: f64) -> (f64, f64) {
        ((x - y) * (x - y), 2.0 * (x - y))
    }

    #[test]
    fn a_loss_of_ones_own_is_right_on_every_device_there_is() {
        let loss = custom("square_of_the_test", SQUARE, square).unwrap();
        for device in each_device() {
            for report in testing::check(&loss, &device).unwrap() {
                assert!(report.passed && report.cases > 0, "{}: {}", report.name, report.place);
            }
        }
    }

    #[test]
    fn a_wrong_derivative_and_a_shader_that_differs_are_found() {
        let partial =
            custom("wrong_slope", SQUARE, |x, y| (square(x, y).0, 2.02 * (x - y))).unwrap();
        let error = testing::check(&partial, &Device::Cpu).unwrap_err();
        assert!(matches!(&error, Error::Check { failed: 1, .. }), "{error}");
        let message = error.to_string();
        let lines: Vec<&str> = message.lines().collect();
        assert_eq!(lines[0], "wrong_slope: 1 check(s) failed");
        assert!(
            lines[2].starts_with("wrong_slope: derivative") && lines[2].ends_with("FAILED"),
            "{message}"
        );
        assert!(
            lines[3].starts_with("  derivative of ") && lines[4].ends_with("passed"),
            "{message}"
        );
        assert!(message.contains("its WGSL was not run"), "{message}");
        let Some(gpu) = gpu().map(Device::Gpu) else { return };
        let shader = custom("wrong_shader", &SQUARE.replace("2.0", "2.02"), square).unwrap();
        let message = testing::check(&shader, &gpu).unwrap_err().to_string();
        assert!(message.contains("on gpu") && !message.contains("was not run"), "{message}");
    }

    #[test]
    fn a_text_that_does_not_fit_is_refused_with_its_line() {
        let refused = |text: &str| custom("broken", text, square).unwrap_err().to_string();
        let message = refused(
            "fn loss(prediction: f32, truth: f32) -> Loss {\n return Loss(nothing, 0.0);\n}",
        );
        assert!(message.starts_with("the WGSL of `broken`, line 2: "), "{message}");
        // A missing function or parameter is reported at the call.
        for lacking in
            ["fn other() {}", "fn loss(prediction: f32) -> Loss { return Loss(0.0, 0.0); }"]
        {
            let message = refused(lacking);
            assert!(message.starts_with("the WGSL of `broken`: "), "{message}");
            assert!(message.contains("says what it must hold"), "{message}");
        }
        let taken = custom("mse", SQUARE, square).unwrap_err().to_string();
        assert_eq!(taken, "custom: name is `mse`; it must be a name that is not in the catalogue");
    }

    #[test]
    fn what_no_kernel_can_bear_is_refused_before_a_driver_sees_it() {
        let refused = |more: &str| {
            custom("greedy", &format!("{SQUARE}\n{more}"), square).unwrap_err().to_string()
        };
        for array in [
            "var<private> table: array<f32, 50000000>;",
            "fn helper() -> f32 { var table: array<array<f32, 10000>, 10000>; return table[3][4]; }",
            "var<workgroup> table: array<vec4<f32>, 4000>;",
        ] {
            let message = refused(array);
            assert!(
                message.starts_with("the WGSL of `greedy`: ") && message.contains("at most 16 KiB"),
                "{message}"
            );
        }
        assert!(
            refused("@compute @workgroup_size(1) fn own() {}").contains("the entry point `own`")
        );
        assert!(
            refused("@group(0) @binding(9) var<storage> more: array<f32>;")
                .contains("it binds `more`")
        );
        assert!(
            custom("modest", &format!("{SQUARE}\nvar<private> table: array<f32, 64>;"), square)
                .is_ok()
        );
    }

    #[test]
    fn targets_outside_its_domain_are_refused() {
        let loss = custom("signs", SQUARE, square).unwrap().targets(Domain::Sign);
        let criterion = loss.on(&Device::Cpu).unwrap();
        assert!(criterion.value_and_gradient(&array![1.0], &array![0.5_f32]).is_err());
        assert_eq!(
            criterion.value_and_gradient(&array![1.0], &array![-1.0_f32]).unwrap().value(),
            4.0
        );
    }
}
