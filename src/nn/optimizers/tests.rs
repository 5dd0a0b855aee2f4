//! Catalogue checks, reference trajectories of PyTorch, regularisation, and f32 against the f64
//! reference.

use serde_json::json;

use crate::nn::optimizers::link::APPLY_UPDATE;
use crate::nn::optimizers::*;
use crate::runtime::adaptor::adaptor;

/// Every entry with its defaults and with each of its variants.
fn all() -> Vec<Box<dyn Optimizer>> {
    let with = |name: &str, options: &str| {
        from_name(name, &serde_json::from_str(options).unwrap()).unwrap()
    };
    let sets = |entry: &'static Entry<dyn Optimizer>| {
        ["null"].iter().chain(entry.variants).map(move |options| with(entry.name, options))
    };
    CATALOGUE.iter().flat_map(|entry| sets(entry)).collect()
}

/// The inputs of a golden case are f32 numbers in shortest notation: parsed as f64, 0.1 would be a
/// different number.
fn inputs(tensor: &Value) -> Vec<f64> {
    numbers(tensor).into_iter().map(|x| f64::from(x as f32)).collect()
}

fn numbers(tensor: &Value) -> Vec<f64> {
    tensor["data"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// Runs a golden case and compares each recorded step within 1e-8 relative to the parameter.
fn follow(optimizer: &dyn Optimizer, case: &Value) {
    let mut parameters = inputs(&case["parameters"]);
    let mut states = optimizer.first_states(parameters.len());
    let shape = case["parameters"]["shape"].as_array().unwrap();
    let columns = if shape.len() == 2 { shape[1].as_u64().unwrap() as usize } else { 0 };
    let spans = [ParameterSpan { end: parameters.len(), columns, ..ParameterSpan::default() }];
    let limit = |name: &str| case["options"].get(name).and_then(Value::as_f64);
    let global = limit("clip_global_norm").map(|limit| Clip::GlobalNorm { limit, epsilon: 0.0 });
    let clip = global.or(limit("clip_value").map(Clip::Value));
    let gradient_transform = GradientTransform { spans: &spans, clip, skip_non_finite: false };
    for (t, gradients) in (1..).zip(case["gradients"].as_array().unwrap()) {
        let step = optimizer.step(t, optimizer.initial_learning_rate());
        optimizer
            .update_transformed(
                &step,
                &gradient_transform,
                &mut parameters,
                &inputs(gradients),
                &mut states,
            )
            .unwrap();
        let Some(expected) = case["expect"]["parameters"].get(t.to_string()) else { continue };
        let expected = numbers(expected);
        assert_eq!(expected.len(), parameters.len());
        for (found, expected) in parameters.iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= 1e-8 * expected.abs(),
                "{}, step {t}: {found} {expected}",
                case["name"]
            );
        }
    }
}

/// The optimizer of a case, without the gradient transform.
fn optimizer_of(name: &str, case: &Value) -> Box<dyn Optimizer> {
    let mut options = case["options"].clone();
    options.as_object_mut().unwrap().retain(|name, _| !name.starts_with("clip_"));
    from_name(name, &options).unwrap()
}

#[test]
fn trajectories_are_those_of_pytorch_and_optax() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/golden/optimizers.json")).unwrap();
    let mut names = std::collections::BTreeSet::new();
    for case in &cases {
        let name = case["optimizer"].as_str().unwrap();
        names.insert(name);
        follow(&*optimizer_of(name, case), case);
        // With given gradients plain SGD is gradient descent.
        if name == "sgd" && case["options"].as_object().unwrap().len() == 1 {
            names.insert("gradient_descent");
            follow(&*optimizer_of("gradient_descent", case), case);
        }
    }
    // PyTorch's Muon uses bf16 and the schedule-free ones are in optax.contrib: they have their own
    // tests.
    names.extend(["muon", "schedule_free_adamw", "schedule_free_sgd"]);
    assert!(names.into_iter().eq(CATALOGUE.iter().map(|entry| entry.name)));
}

#[test]
#[should_panic(expected = "step 1")]
fn the_comparison_with_golden_trajectories_can_fail() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/golden/optimizers.json")).unwrap();
    follow(&Sgd::new().learning_rate(0.050_000_1), &cases[0]);
}

#[test]
fn single_precision_follows_the_reference() {
    // More than two chunks, with a remainder; two spans whose boundary lies inside a chunk.
    let length = 40_001;
    let start: Vec<f32> = (0..length).map(|i| (i % 201) as f32 / 50.0 - 2.0).collect();
    let spans = [
        ParameterSpan { end: 20_007, l1: 0.01, l2: 0.02, columns: 39, ..ParameterSpan::default() },
        ParameterSpan { end: length, ..ParameterSpan::default() },
    ];
    for optimizer in all() {
        let mut states = optimizer.first_states::<f32>(length);
        let mut exact_states = optimizer.first_states::<f64>(length);
        let mut fast = start.clone();
        let mut exact: Vec<f64> = start.iter().map(|&x| f64::from(x)).collect();
        for t in 1..=5 {
            // Between 0.3 and 1.1 in magnitude: near 0 Adam and RMSprop amplify the rounding of g
            // to a full step.
            let size = |i: usize| ((i * 7 + t * 13) % 97) as f32 / 120.0 + 0.3;
            let gradients: Vec<f32> =
                (0..length).map(|i| if (i + t) % 3 == 0 { -size(i) } else { size(i) }).collect();
            let widened: Vec<f64> = gradients.iter().map(|&x| f64::from(x)).collect();
            let step = optimizer.step(t as u64, 0.05);
            optimizer.update(&step, &spans, &mut fast, &gradients, &mut states).unwrap();
            optimizer.update(&step, &spans, &mut exact, &widened, &mut exact_states).unwrap();
        }
        for (index, (fast, exact)) in fast.iter().zip(&exact).enumerate() {
            // Parameters up to 2.3, rounded 5 times at 2⁻²⁴ relative: 7e-7; directions are below 5,
            // times the rate 0.25, each of the 5 within 20 roundings: 1.5e-6.
            assert!(
                (f64::from(*fast) - exact).abs() <= 2.2e-6,
                "{optimizer:?} at {index}: {fast} {exact}"
            );
        }
    }
}

#[test]
fn the_penalty_has_the_derivative_of_its_formula() {
    let spans = [
        ParameterSpan { end: 1, l1: 0.5, ..ParameterSpan::default() },
        ParameterSpan { end: 3, l1: 0.5, l2: 0.25, ..ParameterSpan::default() },
    ];
    let optimizer: &dyn Optimizer = &GradientDescent::new();
    let mut parameters = [-2.0, 0.0, 4.0];
    optimizer.update(&optimizer.step(1, 1.0), &spans, &mut parameters, &[0.0; 3], &mut []).unwrap();
    // l1 sign w + 2 l2 w: -0.5; 0 (sign of 0 is 0); 0.5 + 2.
    assert_eq!(parameters, [-1.5, 0.0, 1.5]);
}

#[test]
fn a_nan_gradient_reaches_its_parameter_and_no_other() {
    // A per-tensor rule turns the whole tensor to NaN.
    for optimizer in all().iter().filter(|optimizer| optimizer.per_tensor().is_none()) {
        let mut states = optimizer.first_states::<f32>(3);
        let mut parameters = [1.0_f32, 2.0, 3.0];
        let step = optimizer.step(1, 0.1);
        optimizer.update(&step, &[], &mut parameters, &[0.5, f32::NAN, 0.5], &mut states).unwrap();
        assert!(
            parameters[1].is_nan() && parameters[0].is_finite() && parameters[2].is_finite(),
            "{optimizer:?}"
        );
    }
}

#[test]
fn corrections_stay_exact_for_any_step() {
    let adam: &dyn Optimizer = &Adam::new();
    let step = adam.step(1, 0.5);
    assert!(
        (step.correction_second - 0.001).abs() <= 1e-16
            && step.is_first == 1.0
            && step.learning_rate == 0.5
    );
    let late = adam.step(u64::from(u32::MAX) + 7, 0.5);
    assert_eq!((late.correction_first, late.correction_second, late.is_first), (1.0, 1.0, 0.0));
}

#[test]
fn each_update_with_its_template_is_valid_wgsl() {
    for entry in CATALOGUE {
        let per_tensor = from_name(entry.name, &Value::Null).unwrap().per_tensor().is_some();
        let (template, expected): (_, &[&str]) = match per_tensor {
            true => (
                crate::runtime::wgsl::shader!("templates/optimizer/tensor_apply_update.wgsl"),
                &["params", "spans", "parameters", "gradients", "norms", "clip"],
            ),
            false => (
                crate::runtime::wgsl::shader!("templates/optimizer/optimizer.wgsl"),
                &[
                    "params",
                    "spans",
                    "parameters",
                    "gradients",
                    "first_states",
                    "second_states",
                    "third_states",
                    "fourth_states",
                    "clip",
                ],
            ),
        };
        let linked = [
            crate::runtime::wgsl::shader!("templates/optimizer/optimizer_step.wgsl"),
            crate::runtime::wgsl::shader!("templates/optimizer/optimizer_params.wgsl"),
            crate::runtime::wgsl::shader!("templates/optimizer/penalty.wgsl"),
            crate::runtime::wgsl::shader!("templates/optimizer/gradient_transform.wgsl"),
            crate::runtime::wgsl::shader!("lib/numbers.wgsl"),
        ];
        let files: Vec<_> = [template].into_iter().chain(linked).chain([entry.shader]).collect();
        let interface: &[&str] = if per_tensor { &[UPDATE, APPLY_UPDATE] } else { &[UPDATE] };
        let header = adaptor(&entry.shader, interface);
        let module = crate::runtime::wgsl::parse(entry.name, &header, &files).unwrap();
        let capabilities = wgpu::naga::valid::Capabilities::empty();
        let mut validator = wgpu::naga::valid::Validator::new(
            wgpu::naga::valid::ValidationFlags::all(),
            capabilities,
        );
        validator.validate(&module.ir).unwrap_or_else(|error| panic!("{}: {error:?}", entry.name));
        let names: Vec<&str> =
            module.bindings.iter().map(|binding| binding.name.as_str()).collect();
        assert_eq!(names, expected);
    }
}

#[test]
fn the_list_is_sorted_and_each_shader_knows_its_constants() {
    assert!(CATALOGUE.is_sorted_by_key(|entry| entry.name));
    for entry in CATALOGUE {
        assert_eq!(entry.shader.name, format!("optimizers/{}.wgsl", entry.name));
        let optimizer = from_name(entry.name, &Value::Null).unwrap();
        assert_eq!(
            (optimizer.name(), optimizer.whole_batch()),
            (entry.name, entry.name == "gradient_descent")
        );
        let overrides = entry.shader.text.matches("\noverride ").count();
        assert_eq!(overrides, optimizer.constants().len(), "{}", entry.name);
        for (constant, _) in optimizer.constants() {
            let declaration =
                format!("override {}: ", crate::runtime::adaptor::option(&entry.shader, constant));
            assert!(entry.shader.text.contains(&declaration), "{}: {constant}", entry.name);
        }
        let documented: Vec<&str> = entry.options.iter().map(|option| option.name).collect();
        let written: Vec<String> =
            optimizer.options().as_object().unwrap().keys().cloned().collect();
        assert_eq!(documented, written);
    }
}

#[test]
fn options_outside_their_domain_are_refused_by_name_value_and_domain() {
    let refused = |name: &str, options: Value| from_name(name, &options).unwrap_err().to_string();
    assert_eq!(refused("adam", json!({"beta1": 1.0})), "adam: beta1 is 1.0; it must be in [0, 1)");
    assert_eq!(
        refused("adamw", json!({"weight_decay": -1})),
        "adamw: weight_decay is -1.0; it must be finite and >= 0"
    );
    assert_eq!(
        refused("rmsprop", json!({"alpha": "x"})),
        "rmsprop: alpha is \"x\"; it must be in [0, 1)"
    );
    assert_eq!(
        refused("sgd", json!({"nesterov": true})),
        "sgd: nesterov is true with momentum 0 and dampening 0; it must be false unless momentum > 0 and dampening is 0"
    );
    assert_eq!(
        refused("adam", json!({"amsgard": true})),
        "unknown option of adam `amsgard`; known: learning_rate, beta1, beta2, epsilon, weight_decay, amsgrad"
    );
    assert!(Adam::new().learning_rate(f64::NAN).check().is_err());
    assert!(
        refused("lars", Value::Null)
            .starts_with("unknown optimizer `lars`; known: adabelief, adadelta, adafactor,")
    );
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    let adam: &dyn Optimizer = &Adam::new();
    let step = adam.step(1, 0.1);
    let update = |gradients: usize, states: usize, end: usize| {
        let mut states = [vec![0.0_f32; states], vec![0.0; states]];
        let spans = [ParameterSpan { end, l1: 0.1, ..ParameterSpan::default() }];
        adam.update(&step, &spans, &mut [1.0, 2.0], &vec![0.0; gradients], &mut states)
    };
    assert!(update(2, 2, 2).is_ok());
    assert!(update(3, 2, 2).is_err() && update(2, 1, 2).is_err() && update(2, 2, 3).is_err());
}
