//! The comparisons can fail: results that are slightly wrong, missing or NaN are rejected, by the
//! comparison itself and through a device's whole path.

use gradus::cpu::simd;
use gradus::losses::{Auxiliary, Domain, LossDefinition, Pointwise, Row, Rowwise, Spec};
use gradus::testing::{self, Comparison, compare};
use gradus::wgsl::File;
use gradus::{Entry, Real};
use ndarray::{Array2, array, s};
use serde_json::Value;

fn expected() -> Array2<f64> {
    Array2::from_shape_fn((5, 4), |(row, column)| (row as f64 - 2.2) * (column as f64 + 0.5))
}

fn against(found: &Array2<f64>) -> Comparison {
    let expected = expected();
    let tolerance = expected.mapv(|x| 1e-6 * x.abs());
    compare(&expected, &tolerance, found)
}

#[test]
fn matching_results_pass() {
    assert!(against(&expected()).passed());
    assert!(against(&expected().mapv(|x| x * (1.0 + 9e-7))).passed());
}

#[test]
fn results_one_percent_off_are_refused() {
    let found = against(&expected().mapv(|x| 1.01 * x));
    assert!(!found.passed());
    assert!((found.error - 0.01).abs() < 1e-9, "{found:?}");
}

#[test]
fn one_element_off_is_refused_and_named() {
    let mut found = expected();
    found[[3, 1]] *= 1.01;
    let found = against(&found);
    assert!(!found.passed());
    assert!(found.place.starts_with("element 13 of [5, 4]"), "{}", found.place);
}

#[test]
fn results_of_zero_are_refused() {
    assert!(!against(&Array2::zeros((5, 4))).passed());
}

#[test]
fn nan_is_refused_wherever_it_stands() {
    for place in 0..20 {
        let mut found = expected();
        found[[place / 4, place % 4]] = f64::NAN;
        let found = against(&found);
        assert!(!found.passed() && found.error == f64::INFINITY, "{found:?}");
    }
}

#[test]
fn a_number_where_nan_or_infinity_belongs_is_refused() {
    let tolerance = array![1.0, 1.0];
    for wanted in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let expected = array![1.0, wanted];
        assert!(compare(&expected, &tolerance, &expected).passed());
        for found in [0.0, f64::MAX, -wanted] {
            let same = found.is_nan() && wanted.is_nan();
            assert_eq!(
                compare(&expected, &tolerance, &array![1.0, found]).passed(),
                same,
                "{found} for {wanted}"
            );
        }
    }
}

#[test]
fn a_tolerance_that_is_no_number_lets_nothing_pass() {
    assert!(!compare(&array![1.0], &array![f64::NAN], &array![1.1]).passed());
}

#[test]
fn another_shape_and_a_missing_row_are_refused() {
    let all = expected();
    assert!(!against(&all.clone().into_shape_with_order((4, 5)).unwrap()).passed());
    assert!(!against(&all.slice(s![..4, ..]).to_owned()).passed());
    let flat = all.clone().into_shape_with_order(20).unwrap();
    assert!(!compare(&all, &all.mapv(f64::abs), &flat).passed());
}

macro_rules! entry {
    ($loss:ident, $name:literal, $shader:literal) => {
        Entry {
            name: $name,
            summary: "a loss of the tests",
            formula: "e²",
            options: &[],
            torch: "",
            keras: "",
            optax: "",
            source: "",
            variants: &[],
            shader: File::new(concat!($name, ".wgsl"), $shader),
            make: |_| Ok(Box::new($loss)),
        }
    };
}

/// A loss whose CPU implementation is the squared error, with any shader.
macro_rules! squared_error {
    ($loss:ident, $shader:literal) => {
        #[derive(Clone, Debug)]
        struct $loss;

        impl $loss {
            fn entry() -> &'static Entry<dyn LossDefinition> {
                static ENTRY: Entry<dyn LossDefinition> = entry!($loss, "squared_error", $shader);
                &ENTRY
            }
        }

        impl LossDefinition for $loss {
            fn entry(&self) -> &'static Entry<dyn LossDefinition> {
                Self::entry()
            }
            fn options(&self) -> Value {
                Value::Null
            }
            fn spec(&self) -> Spec<'_> {
                Spec::pointwise(self)
            }
        }

        impl Pointwise for $loss {
            fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
                let error = prediction - truth;
                (error * error, R::new(2.0) * error)
            }
        }
    };
}

squared_error!(
    Right,
    "fn loss(x: f32, y: f32) -> Loss { return Loss((x - y) * (x - y), 2.0 * (x - y)); }"
);
squared_error!(
    ValueOff,
    "fn loss(x: f32, y: f32) -> Loss { return Loss(1.01 * (x - y) * (x - y), 2.0 * (x - y)); }"
);
squared_error!(
    GradientOff,
    "fn loss(x: f32, y: f32) -> Loss { return Loss((x - y) * (x - y), 2.02 * (x - y)); }"
);
squared_error!(Nothing, "fn loss(x: f32, y: f32) -> Loss { return Loss(0.0, 0.0); }");
squared_error!(
    Broken,
    "fn loss(x: f32, y: f32) -> Loss { let nan = bitcast<f32>(0x7fc00000u | (bitcast<u32>(x) & 1u)); return Loss(nan, nan); }"
);
squared_error!(
    HidesNan,
    "fn loss(x: f32, y: f32) -> Loss { let e = clamp(x - y, -1e3, 1e3); return Loss(e * e, 2.0 * e); }"
);

/// True if the GPU check accepts a shader; `None` without a GPU.
fn passes(entry: &'static Entry<dyn LossDefinition>) -> Option<bool> {
    let device = crate::support::gpu()?;
    let reports = testing::check_loss(entry, &device).expect("it runs");
    assert!(reports.iter().all(|report| report.cases > 10));
    Some(reports.iter().all(|report| report.passed))
}

#[test]
fn a_right_loss_passes_on_the_device() {
    assert_ne!(passes(Right::entry()), Some(false));
}

#[test]
fn a_loss_one_percent_off_in_value_or_gradient_is_refused() {
    assert_ne!(passes(ValueOff::entry()), Some(true));
    assert_ne!(passes(GradientOff::entry()), Some(true));
}

#[test]
fn a_loss_that_writes_nothing_is_refused() {
    assert_ne!(passes(Nothing::entry()), Some(true));
}

#[test]
fn a_loss_that_gives_nan_is_refused() {
    assert_ne!(passes(Broken::entry()), Some(true));
}

/// Large errors are drawn too, so a clamp that affects few values is detected.
#[test]
fn a_loss_that_cuts_large_errors_is_refused() {
    assert_ne!(passes(HidesNan::entry()), Some(true));
}

/// A row-wise loss, Σ t x, whose shader leaves the gradient of the last column 0.
#[derive(Clone, Debug)]
struct ForgetsAColumn;

static FORGETS: Entry<dyn LossDefinition> = entry!(
    ForgetsAColumn,
    "forgets_a_column",
    "struct Sums { total: f32, }
     struct Outcome { loss: f32, }
     fn empty_sums() -> Sums { return Sums(0.0); }
     fn fold(sums: Sums, cells: Cells) -> Sums { return Sums(sums.total + dot(cells.truths, cells.logits)); }
     fn join(sums: Sums) -> Sums { return Sums(row_group_sum(sums.total)); }
     fn finish(row: Row, sums: Sums) -> Outcome { return Outcome(sums.total); }
     fn gradient(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32> {
         return select(cells.truths, vec4<f32>(), cells.columns + 1u == vec4<u32>(params.columns));
     }
     fn auxiliary(place: u32, row: Row, outcome: Outcome) {}"
);

impl LossDefinition for ForgetsAColumn {
    fn entry(&self) -> &'static Entry<dyn LossDefinition> {
        &FORGETS
    }
    fn options(&self) -> Value {
        Value::Null
    }
    fn spec(&self) -> Spec<'_> {
        Spec { targets: Domain::Distribution, ..Spec::rowwise(self) }
    }
}

impl Rowwise for ForgetsAColumn {
    type Target<'a, R: Real> = &'a [R];

    fn row<R: Real>(
        &self,
        row: &Row<'_, R, &[R]>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        gradient.iter_mut().zip(row.target).for_each(|(slot, &t)| *slot = scale * t);
        R::new(simd::dot(row.logits, row.target).to_f64())
    }
}

#[test]
fn a_loss_that_forgets_a_column_is_refused() {
    assert_ne!(passes(&FORGETS), Some(true));
}

#[test]
fn a_wrong_derivative_of_the_reference_is_refused_by_central_differences() {
    #[derive(Clone, Debug)]
    struct Wrong;
    static WRONG: Entry<dyn LossDefinition> = entry!(Wrong, "wrong", "");
    impl LossDefinition for Wrong {
        fn entry(&self) -> &'static Entry<dyn LossDefinition> {
            &WRONG
        }
        fn options(&self) -> Value {
            Value::Null
        }
        fn spec(&self) -> Spec<'_> {
            Spec::pointwise(self)
        }
    }
    impl Pointwise for Wrong {
        fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
            let error = prediction - truth;
            (error * error, R::new(2.00001) * error)
        }
    }
    let right = testing::central_differences(Right::entry()).unwrap();
    assert!(right.iter().all(|report| report.passed), "{right:?}");
    let wrong = testing::central_differences(&WRONG).unwrap();
    assert!(wrong.iter().all(|report| !report.passed), "{wrong:?}");
}
