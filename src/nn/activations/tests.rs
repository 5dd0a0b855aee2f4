//! Catalogue checks, and each activation against central differences of its forward pass.

use serde_json::json;

use crate::Real;
use crate::nn::activations::*;

/// Every entry with its defaults and with each of its variants.
fn all() -> Vec<Box<dyn Activation>> {
    let with = |name: &str, options: &str| {
        from_name(name, &serde_json::from_str(options).unwrap()).unwrap()
    };
    let sets = |entry: &'static Entry<dyn Activation>| {
        ["null"].iter().chain(entry.variants).map(move |options| with(entry.name, options))
    };
    CATALOGUE.iter().flat_map(|entry| sets(entry)).collect()
}

const INPUTS: [f64; 12] = [-20.0, -5.3, -2.1, -1.0, -0.4, -1e-3, 2e-3, 0.3, 0.9, 1.7, 4.4, 15.0];

fn forward<R: Real>(activation: &dyn Activation, width: usize, input: &[R]) -> Vec<R> {
    let mut output = vec![R::ZERO; input.len()];
    activation.forward(width, input, &mut output).unwrap();
    output
}

#[test]
fn derivatives_equal_central_differences() {
    let upstream: Vec<f64> = (0..12).map(|i| 1.0 + f64::from(i) / 7.0).collect();
    for activation in all() {
        let width = if activation.rowwise() { 4 } else { 1 };
        let output = forward(&*activation, width, &INPUTS);
        let mut gradient = upstream.clone();
        activation.backward(width, &INPUTS, &output, &mut gradient).unwrap();
        for index in 0..INPUTS.len() {
            let objective = |step: f64| {
                let mut moved = INPUTS;
                moved[index] += step;
                let output = forward(&*activation, width, &moved);
                output.iter().zip(&upstream).map(|(y, g)| y * g).sum::<f64>()
            };
            // Fourth-order differences: the truncation error step⁴·f⁽⁵⁾/30 is below 1e-12; rounding
            // is at most 1.4e-14 for values below 60, divided by the step.
            let h = 5e-4;
            let difference = (8.0 * (objective(h) - objective(-h))
                - (objective(2.0 * h) - objective(-2.0 * h)))
                / (12.0 * h);
            let error = (gradient[index] - difference).abs();
            assert!(
                error <= 1e-6 * difference.abs() + 4e-11,
                "{activation:?} at {}: {} {difference}",
                INPUTS[index],
                gradient[index]
            );
        }
    }
}

#[test]
fn single_precision_follows_the_reference() {
    // Long enough for several chunks and a remainder; a whole number of rows.
    let single: Vec<f32> = (0..40_008).map(|i| (i % 1999) as f32 / 80.0 - 12.5).collect();
    let double: Vec<f64> = single.iter().map(|&x| f64::from(x)).collect();
    for activation in all() {
        let (fast, exact) =
            (forward(&*activation, 12, &single), forward(&*activation, 12, &double));
        let (mut fast_gradient, mut exact_gradient) = (vec![1.5_f32; 40_008], vec![1.5; 40_008]);
        activation.backward(12, &single, &fast, &mut fast_gradient).unwrap();
        activation.backward(12, &double, &exact, &mut exact_gradient).unwrap();
        for index in 0..single.len() {
            // The functions are within 3 ulp and a formula has at most 5 more roundings: 8 · 2⁻²³
            // relative to its largest term, which is below 1 + |x| (tanh GELU: x² times a slope in
            // the derivative).
            let x = double[index].abs();
            let limit = 9.6e-7 * (1.0 + x);
            assert!(
                (f64::from(fast[index]) - exact[index]).abs() <= limit,
                "{activation:?}({})",
                single[index]
            );
            let error = (f64::from(fast_gradient[index]) - exact_gradient[index]).abs();
            assert!(error <= 2.0 * limit, "{activation:?}'({}): {error:e}", single[index]);
        }
    }
}

#[test]
fn nan_in_gives_nan_out_and_back() {
    for activation in all() {
        let width = if activation.rowwise() { 2 } else { 1 };
        let input = [f32::NAN, 1.0, 2.0, -1.0];
        let output = forward(&*activation, width, &input);
        let mut gradient = [1.0_f32; 4];
        activation.backward(width, &input, &output, &mut gradient).unwrap();
        assert!(output[0].is_nan() && gradient[0].is_nan(), "{activation:?}");
        assert!(output[2..].iter().chain(&gradient[2..]).all(|x| x.is_finite()), "{activation:?}");
    }
}

#[test]
fn infinite_inputs_give_their_limits() {
    let known = [
        ("relu", 0.0, 0.0),
        ("sigmoid", 0.0, 0.0),
        ("tanh", -1.0, 0.0),
        ("gelu", 0.0, 0.0),
        ("silu", 0.0, 0.0),
        ("elu", -1.0, 0.0),
        ("hard_sigmoid", 0.0, 0.0),
        ("hard_swish", 0.0, 0.0),
        ("mish", 0.0, 0.0),
        ("relu6", 0.0, 0.0),
        ("softplus", 0.0, 0.0),
    ];
    for (name, low, derivative) in known {
        let activation = from_name(name, &Value::Null).unwrap();
        let input = [f32::NEG_INFINITY, f32::INFINITY];
        let output = forward(&*activation, 1, &input);
        let mut gradient = [1.0_f32; 2];
        activation.backward(1, &input, &output, &mut gradient).unwrap();
        assert_eq!((output[0], gradient[0]), (low, derivative), "{name}");
        assert!(!output[1].is_nan() && (0.0..=1.0).contains(&gradient[1]), "{name}");
    }
}

#[test]
fn values_at_1_are_those_of_the_definitions() {
    let known = [
        ("identity", 1.0),
        ("relu", 1.0),
        ("leaky_relu", 1.0),
        ("sigmoid", 0.731_058_578_630_004_9),
        ("tanh", 0.761_594_155_955_764_9),
        ("silu", 0.731_058_578_630_004_9),
        ("gelu", 0.841_344_746_068_542_9),
        ("softmax", 1.0),
        ("elu", 1.0),
        ("hard_sigmoid", 0.666_666_666_666_666_6),
        ("hard_swish", 0.666_666_666_666_666_6),
        ("mish", 0.865_098_388_267_310_3),
        ("relu6", 1.0),
        ("selu", 1.050_700_987_355_480_5),
        ("softplus", 1.313_261_687_518_222_8),
    ];
    assert_eq!(known.len(), CATALOGUE.len());
    for (name, expected) in known {
        let found = forward(&*from_name(name, &Value::Null).unwrap(), 1, &[1.0])[0];
        assert!((found - expected).abs() <= 2.3e-16, "{name}: {found}");
    }
}

/// Values and derivatives in f64 by the formulas of PyTorch's documentation (`torch.nn.ELU` and so
/// on), with Python's `math`: `expm1`, `log1p`, `erfc`, `tanh`.
#[test]
fn values_and_derivatives_are_those_of_pytorchs_definitions() {
    const AT: [f64; 7] = [-5.3, -1.0, -0.4, 0.0, 1.7, 3.5, 6.5];
    let known: [(&str, Value, [f64; 7], [f64; 7]); 11] = [
        (
            "elu",
            Value::Null,
            [
                -0.995_008_406_093_089_8,
                -0.632_120_558_828_557_7,
                -0.329_679_953_964_360_73,
                0.0,
                1.7,
                3.5,
                6.5,
            ],
            [
                0.004_991_593_906_910_217,
                0.367_879_441_171_442_33,
                0.670_320_046_035_639_3,
                1.0,
                1.0,
                1.0,
                1.0,
            ],
        ),
        (
            "elu",
            json!({"alpha": 0.5}),
            [
                -0.497_504_203_046_544_9,
                -0.316_060_279_414_278_83,
                -0.164_839_976_982_180_36,
                0.0,
                1.7,
                3.5,
                6.5,
            ],
            [
                0.002_495_796_953_455_108_5,
                0.183_939_720_585_721_17,
                0.335_160_023_017_819_66,
                0.5,
                1.0,
                1.0,
                1.0,
            ],
        ),
        (
            "gelu",
            Value::Null,
            [
                -3.068771041181239e-07,
                -0.158_655_253_931_457_07,
                -0.137_831_303_355_870_32,
                0.0,
                1.624_238_713_310_476_8,
                3.499_185_798_223_375_6,
                6.499_999_999_738_96,
            ],
            [
                -1.6229137444598212e-06,
                -0.083_315_470_587_686_29,
                0.197_270_202_268_346_46,
                0.5,
                1.115_317_968_782_164_8,
                1.002_821_760_353_624_7,
                1.000_000_001_695_051_9,
            ],
        ),
        (
            "gelu",
            json!({"approximate": "tanh"}),
            [
                -2.739348816671594e-08,
                -0.158_808_009_391_723_24,
                -0.137_838_830_572_643_82,
                0.0,
                1.624_105_895_551_156,
                3.499_383_802_344_626,
                6.499_999_999_999_372,
            ],
            [
                -2.032640707093014e-07,
                -0.082_964_083_845_782_55,
                0.197_341_165_579_438_62,
                0.5,
                1.115_914_631_452_605,
                1.002_422_643_760_117,
                1.000_000_000_006_583_6,
            ],
        ),
        (
            "hard_sigmoid",
            Value::Null,
            [
                0.0,
                0.333_333_333_333_333_3,
                0.433_333_333_333_333_35,
                0.5,
                0.783_333_333_333_333_3,
                1.0,
                1.0,
            ],
            [
                0.0,
                0.166_666_666_666_666_66,
                0.166_666_666_666_666_66,
                0.166_666_666_666_666_66,
                0.166_666_666_666_666_66,
                0.0,
                0.0,
            ],
        ),
        (
            "hard_swish",
            Value::Null,
            [
                0.0,
                -0.333_333_333_333_333_3,
                -0.173_333_333_333_333_34,
                0.0,
                1.331_666_666_666_666_8,
                3.5,
                6.5,
            ],
            [
                0.0,
                0.166_666_666_666_666_69,
                0.366_666_666_666_666_7,
                0.5,
                1.066_666_666_666_666_7,
                1.0,
                1.0,
            ],
        ),
        (
            "mish",
            Value::Null,
            [
                -0.026_389_421_099_309_966,
                -0.303_401_461_374_108_95,
                -0.188_916_482_393_514_63,
                0.0,
                1.620_768_073_975_540_8,
                3.493_990_715_117_519_6,
                6.499_970_703_939_837,
            ],
            [
                -0.021_344_260_068_385_378,
                0.059_216_755_877_394_97,
                0.347_572_799_029_104_2,
                0.6,
                1.084_257_315_945_062_6,
                1.009_939_324_995_133_2,
                1.000_053_996_944_854_3,
            ],
        ),
        (
            "relu6",
            Value::Null,
            [0.0, 0.0, 0.0, 0.0, 1.7, 3.5, 6.0],
            [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0],
        ),
        (
            "selu",
            Value::Null,
            [
                -1.749_323_622_889_86,
                -1.111_330_737_812_562_5,
                -0.579_610_109_755_336,
                0.0,
                1.786_191_678_504_316_8,
                3.677_453_455_744_182,
                6.829_556_417_810_623,
            ],
            [
                0.008_775_717_957_516_634,
                0.646_768_603_034_814_1,
                1.178_489_231_092_040_7,
                1.758_099_340_847_376_6,
                1.050_700_987_355_480_5,
                1.050_700_987_355_480_5,
                1.050_700_987_355_480_5,
            ],
        ),
        (
            "softplus",
            Value::Null,
            [
                0.004_979_177_204_327_23,
                0.313_261_687_518_222_86,
                0.513_015_252_399_952_6,
                std::f64::consts::LN_2,
                1.867_786_029_386_266,
                3.529_750_418_272_620_5,
                6.501_502_310_159_754,
            ],
            [
                0.004_966_801_650_056_96,
                0.268_941_421_369_995_1,
                0.401_312_339_887_548,
                0.5,
                0.845_534_734_916_465_2,
                0.970_687_769_248_643_6,
                0.998_498_817_743_263,
            ],
        ),
        (
            "softplus",
            json!({"beta": 2.0, "threshold": 5.0}),
            [
                1.2457849666444327e-05,
                0.063_464_005_521_486_25,
                0.185_550_332_973_888_84,
                0.346_573_590_279_972_64,
                1.716_414_235_212_432_5,
                3.5,
                6.5,
            ],
            [
                2.4915388939429926e-05,
                0.119_202_922_022_117_55,
                0.310_025_518_872_387_55,
                0.5,
                0.967_704_535_301_549_4,
                1.0,
                1.0,
            ],
        ),
    ];
    for (name, options, values, derivatives) in known {
        let activation = from_name(name, &options).unwrap();
        let output = forward(&*activation, 1, &AT);
        let mut gradient = [1.0; 7];
        activation.backward(1, &AT, &output, &mut gradient).unwrap();
        for place in 0..AT.len() {
            // A few roundings of numbers below 8.
            let errors = [output[place] - values[place], gradient[place] - derivatives[place]];
            assert!(errors.iter().all(|error| error.abs() <= 4e-15), "{name} {place}: {errors:?}");
        }
    }
}

#[test]
fn softmax_rows_sum_to_1_whatever_their_size() {
    for width in [1, 10, 100, 1000] {
        let logits: Vec<f32> = (0..3 * width).map(|i| ((i * 31) % 17) as f32 * 20.0).collect();
        for row in forward(&Softmax, width, &logits).chunks_exact(width) {
            let sum: f64 = row.iter().map(|&y| f64::from(y)).sum();
            assert!((sum - 1.0).abs() <= 2.4e-7, "{width}: {sum}"); // each y is within 2 ulp of its value
        }
    }
}

#[test]
fn the_list_is_sorted_and_each_shader_has_its_functions() {
    assert!(CATALOGUE.is_sorted_by_key(|entry| entry.name));
    for entry in CATALOGUE {
        assert_eq!(entry.shader.name, format!("activations/{}.wgsl", entry.name));
        let activation = from_name(entry.name, &Value::Null).unwrap();
        assert_eq!(activation.name(), entry.name);
        assert!(!entry.torch.is_empty() && !entry.summary.is_empty() && !entry.formula.is_empty());
        for function in ["activate(x: f32) -> f32", "derivative(x: f32, y: f32) -> f32"] {
            let found = entry.shader.text.contains(&format!("fn {}_{function}", entry.name));
            assert_eq!(found, !activation.rowwise(), "{}: {function}", entry.name);
        }
        for (constant, _) in activation.constants() {
            let declaration =
                format!("override {}: ", crate::runtime::adaptor::option(&entry.shader, constant));
            assert!(entry.shader.text.contains(&declaration), "{}: {constant}", entry.name);
        }
        let documented: Vec<&str> = entry.options.iter().map(|option| option.name).collect();
        let written: Vec<String> =
            activation.options().as_object().unwrap().keys().cloned().collect();
        assert_eq!(documented, written);
    }
}

#[test]
fn each_activation_is_valid_wgsl() {
    const FRAME: crate::runtime::wgsl::File = crate::runtime::wgsl::File::own(
        "frame",
        "@group(0) @binding(0) var<storage, read_write> x: array<f32>;\n\
               @compute @workgroup_size(64) fn frame(@builtin(global_invocation_id) id: vec3<u32>) {\n\
               let y = activate(x[id.x]); x[id.x] = y * derivative(x[id.x], y); }\n",
    );
    for entry in CATALOGUE.iter().filter(|entry| entry.name != "softmax") {
        let files = [crate::runtime::wgsl::shader!("lib/numbers.wgsl"), FRAME, entry.shader];
        let header = adaptor(&entry.shader, &[ACTIVATE, DERIVATIVE]);
        let module = crate::runtime::wgsl::parse(entry.name, &header, &files).unwrap();
        let capabilities = wgpu::naga::valid::Capabilities::empty();
        let mut validator = wgpu::naga::valid::Validator::new(
            wgpu::naga::valid::ValidationFlags::all(),
            capabilities,
        );
        validator.validate(&module.ir).unwrap_or_else(|error| panic!("{}: {error:?}", entry.name));
    }
}

#[test]
fn options_outside_their_domain_are_refused_by_name_value_and_domain() {
    let refused = |name: &str, options: Value| from_name(name, &options).unwrap_err().to_string();
    assert_eq!(
        refused("leaky_relu", json!({"negative_slope": -1})),
        "leaky_relu: negative_slope is -1.0; it must be finite and >= 0"
    );
    assert_eq!(
        refused("gelu", json!({"approximate": "erf"})),
        "gelu: approximate is \"erf\"; it must be one of \"none\", \"tanh\""
    );
    assert_eq!(
        refused("gelu", json!({"aproximate": "tanh"})),
        "unknown option of gelu `aproximate`; known: approximate"
    );
    assert_eq!(refused("relu", json!({"slope": 1})), "unknown option of relu `slope`; known: none");
    assert!(
        refused("rely", Value::Null)
            .starts_with("unknown activation `rely`; known: elu, gelu, hard_sigmoid,")
    );
}

#[test]
fn lengths_that_differ_are_refused() {
    let relu: &dyn Activation = &Relu;
    assert!(relu.forward(1, &[1.0_f32, 2.0], &mut [0.0]).is_err());
    assert!((&Softmax as &dyn Activation).forward(2, &[1.0_f32; 3], &mut [0.0; 3]).is_err());
    assert!((&Silu as &dyn Activation).backward(1, &[], &[1.0_f32], &mut [1.0]).is_err());
    assert!(relu.backward(1, &[], &[1.0_f32], &mut [1.0]).is_ok());
}
