//! Edge cases of the pointwise losses: kinks, overflow, subnormal numbers, huge counts, infinities.
//! Expected values were computed from the formulas with 60 digits (mpmath).

use crate::support::each_device;
use gradus::{Criterion, Device, Reduction, losses};
use ndarray::{Array2, array};

const INF: f64 = f64::INFINITY;

/// Loss, options, and (prediction, target, value, derivative) at some points.
type Points = (&'static str, &'static str, &'static [(f64, f64, f64, f64)]);

#[rustfmt::skip]
const EDGES: &[Points] = &[
    ("log_cosh", "{}", &[(0.0001, 0.0, 4.999999739045e-09, 9.999999714045e-05), (0.5, 0.0, 0.1201145069583, 0.46211715726), (1.0, 0.0, 0.433780830483, 0.7615941559558), (10000.0, 0.0, 9999.306852819, 1.0), (-10000.0, 0.0, 9999.306852819, -1.0), (INF, 0.0, INF, 1.0)]),
    ("pseudo_huber", "{}", &[(0.0001, 0.0, 4.999999734879e-09, 9.999999697379e-05), (3.0, 0.0, 2.162277660168, 0.9486832980505), (-1e+30, 0.0, 1.000000015047e+30, -1.0), (-INF, 0.0, INF, -1.0)]),
    ("cauchy", "{}", &[(0.0001, 0.0, 4.999999722379e-09, 9.999999647379e-05), (2.0, 0.0, 0.8047189562171, 0.4), (1e+30, 0.0, 69.07755280487, 9.999999849525e-31), (INF, 0.0, INF, 0.0)]),
    ("barron", r#"{"alpha": 1.0}"#, &[(0.0001, 0.0, 4.999999734879e-09, 9.999999697379e-05), (3.0, 0.0, 2.162277660168, 0.9486832980505), (-1e20, 0.0, 1.000000020041e20, -1.0), (-INF, 0.0, INF, -1.0)]),
    ("barron", r#"{"alpha": 2.0}"#, &[(0.0001, 0.0, 4.999999747379e-09, 9.999999747379e-05)]),
    ("barron", r#"{"alpha": 0.0}"#, &[(0.0001, 0.0, 4.999999734879e-09, 9.999999697379e-05), (2.0, 0.0, 1.098612288668, 0.6666666666667), (1e20, 0.0, 91.41025657928, 1.999999959918e-20), (INF, 0.0, INF, 0.0)]),
    ("barron", r#"{"alpha": -2.0}"#, &[(0.0001, 0.0, 4.999999734879e-09, 9.999999697379e-05), (1e8, 0.0, 2.0, 1.6e-23), (INF, 0.0, 2.0, 0.0)]),
    ("barron", r#"{"alpha": -1e8}"#, &[(0.0001, 0.0, 4.999999734879e-09, 9.999999697379e-05), (2.0, 0.0, 0.8646647232299, 0.2706705773), (INF, 0.0, 1.00000002, 0.0)]),
    ("lp", r#"{"p": 1.5}"#, &[(10000.0, 0.0, 1000000.0, 150.0), (1e-20, 0.0, 9.999999523983e-31, 1.499999976199e-10)]),
    ("lp", r#"{"p": 3.5}"#, &[(20000000000.0, 0.0, 1.131370849898e+36, 1.979898987322e+26)]),
    ("lp", r#"{"p": 0.5}"#, &[(1e-30, 0.0, 1.000000001586e-15, 499999999207200.0), (0.0, 0.0, 0.0, 0.0)]),
    ("lp", r#"{"p": 1.0}"#, &[(0.0, 0.0, 0.0, 0.0)]),
    ("quantile", r#"{"quantile": 0.25}"#, &[(2.0, 2.0, 0.0, 0.0)]),
    ("epsilon_insensitive", r#"{"epsilon": 0.5}"#, &[(1.5, 1.0, 0.0, 0.0)]),
    ("squared_epsilon_insensitive", r#"{"epsilon": 0.5}"#, &[(1.5, 1.0, 0.0, 0.0)]),
    ("expectile", "{}", &[(2.0, 2.0, 0.0, 0.0)]),
    ("mape", "{}", &[(1.0, 0.0, 1000000000.0, 1000000000.0), (0.0, 0.0, 0.0, 0.0), (1e-40, 1e-40, 0.0, 0.0)]),
    ("msle", "{}", &[(1.0001, 1.0, 2.50070470899e-09, 5.000454595117e-05), (1e+30, 1.0, 4676.42693259, 1.367688091906e-28), (1e-06, 1000000.0, 190.8683319772, -27.63099348494), (-3.0, 2.0, 1.20694874109, 0.0), (0.0, 0.0, 0.0, 0.0)]),
    ("poisson_nll", "{}", &[(100.0, 3.0, INF, INF), (-10000.0, 0.0, 0.0, 0.0), (-10000.0, 2.0, 20000.0, -2.0), (0.0, 0.0, 1.0, 1.0), (13.75, 1000000.0, -12813410.84177, -63410.84176745)]),
    ("poisson_nll", r#"{"full": true}"#, &[(12.0, 1000000.0, 978273.1760771, -837245.208581), (17.0, 100000000.0, 66223037.27809, -75845047.24642), (0.3, 1.0, 1.049858811747, 0.3498588236676), (-80.0, 1000000.0, 92815518.38466, -1000000.0)]),
    ("poisson_nll", r#"{"log_input": false}"#, &[(0.0, 5.0, 92.10340371976, -499999999.0)]),
    ("poisson_nll", r#"{"log_input": false, "full": true}"#, &[(1250000.0, 1000000.0, 26864.27537959, 0.2), (1e-06, 50.0, 838.7541127879, -49504949.6188)]),
    ("poisson_nll", r#"{"log_input": false}"#, &[(0.0, 0.0, 0.0, 1.0)]),
    ("poisson_nll", "{}", &[(-INF, 0.0, 0.0, 0.0), (INF, 2.0, INF, INF), (INF, 100000000.0, INF, INF)]),
    ("poisson_nll", r#"{"full": true}"#, &[(INF, 2.0, INF, INF)]),
    ("gamma_deviance", "{}", &[(10000.0, 2.0, 10000.0, 1.0), (-100.0, 2.0, INF, -INF), (20.0, 1000000000.0, 22.06115362244, -1.061153622439), (-INF, 2.0, INF, -INF)]),
    ("tweedie", r#"{"power": 1.25}"#, &[(2.0, 0.0, 5.975585427117, 4.481689070338), (2.0, 4.0, 0.5951313172065, 2.055566431488), (-60.0, 3.0, 39228196.31229, -9807052.117416), (60.0, 3.0, 4.657902807665e+19, 3.493427105749e+19)]),
    ("tweedie", r#"{"power": 1.0}"#, &[(3.0, 0.0, 20.08553692319, 20.08553692319), (50.0, 2.0, 5.184705528587e+21, 5.184705528587e+21)]),
    ("tweedie", r#"{"power": 1.0, "link": "identity"}"#, &[(2.0001, 2.0, 2.49478879071e-9, 4.994619757452e-5), (37.5, 37.4, 0.0001334479357155, 0.002666625976562), (0.75, 0.5, 0.04726744594592, 0.3333333333333), (1e6, 1000001.0, 4.999998333334e-7, -1e-6)]),
    ("tweedie", r#"{"link": "identity"}"#, &[(2.0001, 2.0, 1.764052701289e-9, 3.531641300612e-5), (37.5, 37.4, 2.180165582968e-5, 0.0004354581984953), (0.75, 0.5, 0.05832422120194, 0.3849001794598), (1e6, 1000001.0, 4.999997500002e-10, -1e-9)]),
    ("tweedie", r#"{"power": 2.0, "link": "identity"}"#, &[(2.0001, 2.0, 1.247352859938e-9, 2.497185147593e-5), (37.5, 37.4, 3.561780415977e-6, 7.111002604167e-5), (0.75, 0.5, 0.07213177477483, 0.4444444444444)]),
    ("tweedie", r#"{"power": -1.5, "link": "identity"}"#, &[(2.0001, 2.0, 1.411383144833e-8, 0.0002825736423711), (37.5, 37.4, 1.146632926371, 22.96361593627), (0.75, 0.5, 0.0170606581545, 0.1623797632096)]),
    ("tweedie", r#"{"power": 0.0}"#, &[(1.0, -2.0, 11.13109170638, 12.82561975585)]),
    ("tweedie", r#"{"power": 3.0, "link": "identity"}"#, &[(2.0001, 2.0, 6.236556630383e-10, 1.248530211345e-5), (37.5, 37.4, 9.506542525082e-8, 1.896267361111e-6)]),
    ("tweedie", r#"{"power": 2.0}"#, &[(3.0, 18.0, 0.005795472725386, 0.1038327693784), (-50.0, 0.5, 2.592352764294e+21, -2.592352764294e+21)]),
    ("tweedie", r#"{"power": 3.0}"#, &[(1.0, 4.0, 0.02779112530178, -0.173461691775)]),
    ("tweedie", r#"{"power": 1.999}"#, &[(1.0, 4.0, 0.08531929295471, -0.4719895182879)]),
    ("tweedie", r#"{"power": 1.001}"#, &[(1.0, 4.0, 0.2631609963657, -1.280437094015)]),
    ("bce", "{}", &[(0.0, 1.0, 100.0, -1000000000000.0), (0.0, 0.0, 0.0, 0.0), (1.0, 0.0, 100.0, 1000000000000.0), (1.0, 1.0, 0.0, 0.0), (1e-10, 0.0, 1.000000013401e-10, 1.0000000001), (1e-30, 1.0, 69.07755278665, -1000000000000.0), (0.99999, 1.0, 1.00136304585e-05, -1.000010013681), (1e-42, 1.0, 96.70804694109, -1000000000000.0), (0.25, 0.25, 0.5623351446188, 0.0)]),
    ("bce_with_logits", "{}", &[(INF, 1.0, 0.0, 0.0), (-INF, 0.0, 0.0, 0.0), (-INF, 1.0, INF, -1.0), (INF, 0.0, INF, 1.0), (INF, 0.25, INF, 0.75)]),
    ("binary_focal", r#"{"gamma": 2.0}"#, &[(10000.0, 1.0, 0.0, 0.0), (10000.0, 0.0, 10000.0, 1.0), (-10000.0, 1.0, 10000.0, -1.0)]),
    ("binary_focal", r#"{"gamma": 0.5}"#, &[(-10000.0, 0.0, 0.0, 0.0), (30.0, 1.0, 2.862518580549e-20, -4.293777870823e-20)]),
    ("binary_focal", r#"{"gamma": 1.5}"#, &[(-12.0, 0.0, 9.35750797944e-14, 2.339365496024e-13)]),
    ("binary_focal", r#"{"gamma": 2.0}"#, &[(8.0, 0.25, 3.373679674838, 0.423006153089)]),
    ("binary_focal", r#"{"gamma": 1.5}"#, &[(200.0, 0.25, 97.42785792575, 0.4871392896287)]),
    ("binary_focal", "{}", &[(INF, 1.0, 0.0, 0.0), (-INF, 1.0, INF, -1.0), (1e+30, 0.25, 4.218750063481e+29, 0.421875), (INF, 0.25, INF, 0.421875)]),
    ("binary_focal", r#"{"gamma": 0.0}"#, &[(-INF, 0.25, INF, -0.25)]),
    ("asymmetric", r#"{"clip": 0.25}"#, &[(12.0, 1.0, 3.775099751698e-11, -7.550164711076e-11), (20.0, 0.0, 0.4386321927676, 7.430451928722e-9), (-20.0, 1.0, 19.99999996084, -1.000000037101), (-2.5, 0.0, 0.0, 0.0), (-1.0, 0.0, 2.461550444131e-9, 1.28000325674e-7), (100.0, 0.25, 0.3289741501486, 1.005814630893e-43), (100.0, 0.0, 0.4386322001981, 1.341086174524e-43), (INF, 1.0, 0.0, 0.0), (-INF, 0.0, 0.0, 0.0), (-INF, 1.0, INF, -1.0), (-1e20, 0.5, 5.000000100204387e19, -0.5)]),
    ("asymmetric", r#"{"gamma_positive": 0.0, "gamma_negative": 0.0, "clip": 0.0}"#, &[(-20.0, 0.0, 2.061153620314e-9, 2.06115361819e-9), (8.0, 1.0, 0.0003354063728958, -0.0003353501304665)]),
    ("asymmetric", r#"{"clip": 0.0}"#, &[(-4.0, 0.0, 1.899474816368e-9, 9.343582820853e-9), (40.0, 0.0, 40.0, 1.0), (12.0, 1.0, 3.775099751698e-11, -7.550164711076e-11), (INF, 0.0, INF, 1.0), (1e20, 0.5, 5.000000100204387e19, 0.5)]),
    ("asymmetric", r#"{"gamma_positive": 1.5, "gamma_negative": 0.5, "clip": 0.25}"#, &[(-1.0, 0.25, 0.2071938409137, -0.1660979619117)]),
    ("soft_margin", "{}", &[(10000.0, 1.0, 0.0, 0.0), (10000.0, -1.0, 10000.0, 1.0), (-20.0, -1.0, 2.061153620314e-09, 2.06115361819e-09)]),
    ("perceptron", "{}", &[(0.0, 1.0, 0.0, 0.0), (-10000.0, 1.0, 10000.0, -1.0)]),
    ("modified_huber", "{}", &[(-1.0, 1.0, 4.0, -4.0), (1.0, 1.0, 0.0, 0.0), (1e+30, -1.0, 4.00000006019e+30, 4.0), (-INF, 1.0, INF, -4.0)]),
    ("exponential", "{}", &[(-88.0, 1.0, 1.651636254994e+38, -1.651636254994e+38), (-100.0, 1.0, INF, -INF), (10000.0, 1.0, 0.0, 0.0), (INF, 1.0, 0.0, 0.0)]),
    ("binary_sparsemax", "{}", &[(1.0, 1.0, 0.0, 0.0), (-1.0, 1.0, 1.0, -1.0), (0.0, -1.0, 0.25, 0.5), (-1e20, 1.0, 1.000000020041e20, -1.0), (INF, 1.0, 0.0, 0.0), (INF, -1.0, INF, 1.0)]),
    ("hinge_embedding", "{}", &[(1.0, -1.0, 0.0, -1.0), (1.0, 1.0, 1.0, 1.0), (1.5, -1.0, 0.0, 0.0)]),
];

fn evaluate(
    name: &str,
    options: &str,
    device: &Device,
    prediction: f64,
    target: f64,
) -> (f64, f64) {
    let options = serde_json::from_str(options).expect("options are JSON");
    let loss = losses::from_name(name, &options).unwrap_or_else(|error| panic!("{error}"));
    let criterion =
        Criterion::from_boxed(loss, device).expect("it opened before").reduction(Reduction::Sum);
    let (predictions, targets) = (array![prediction as f32], array![target as f32]);
    let found =
        criterion.evaluate_f64(&gradus::Inputs::new(&predictions, gradus::Targets::from(&targets)));
    let found = found.unwrap_or_else(|error| panic!("{name} of {prediction}, {target}: {error}"));
    (found.value(), found.gradient[0])
}

/// Tolerance of a result: the sum of the ulp that WGSL allows for the functions involved (3 + 2|x|
/// of e^x with |x| ≤ 20 where it is the driver's, 8 elsewhere) is 50 ulp, 6e-6; below the smallest
/// normal number a device may flush to 0.
fn is_near(found: f64, expected: f64, exact: bool) -> bool {
    let share = if exact { 1e-8 } else { 6e-6 };
    let flushed = if exact { 1e-44 } else { f64::from(f32::MIN_POSITIVE) };
    if !exact && expected.abs() > f64::from(f32::MAX) {
        return found == expected.signum() * INF;
    }
    found == expected || (found - expected).abs() <= share * expected.abs() + flushed
}

#[test]
fn pointwise_losses_are_right_at_their_edges() {
    let mut failures = Vec::new();
    for device in each_device() {
        let exact = device.name() == "reference";
        for &(name, options, points) in EDGES {
            for &(prediction, target, value, derivative) in points {
                let (found, gradient) = evaluate(name, options, &device, prediction, target);
                // An f32 overflow is finite in the reference.
                let is_right = |found: f64, expected: f64| {
                    is_near(found, expected, exact)
                        || (exact && expected.is_infinite() && found.abs() > 3.4e38)
                };
                if !is_right(found, value) || !is_right(gradient, derivative) {
                    failures.push(format!(
                        "{} {name} {options} of {prediction:e}, {target:e}: {found:e}, {gradient:e} instead of {value:e}, {derivative:e}",
                        device.name()
                    ));
                }
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn a_probability_outside_0_and_1_gives_nan() {
    for device in each_device() {
        for prediction in [-1e-6, 1.000_001, f64::INFINITY, f64::NEG_INFINITY, -3.0, f64::NAN] {
            let (value, derivative) = evaluate("bce", "{}", &device, prediction, 0.0);
            assert!(value.is_nan() && derivative.is_nan(), "{prediction}: {value}, {derivative}");
        }
    }
}

#[test]
fn targets_of_the_wrong_sign_are_refused() {
    for (name, options, target, words) in [
        ("poisson_nll", "{}", -1.0, "must not be negative"),
        ("tweedie", "{}", -1.0, "must not be negative"),
        ("tweedie", r#"{"power": 2.0}"#, 0.0, "must be above 0"),
        ("gamma_deviance", "{}", 0.0, "must be above 0"),
        ("bce", "{}", 1.5, "from 0 to 1"),
        ("soft_margin", "{}", 0.0, "-1 or +1"),
        ("hinge_embedding", "{}", 0.0, "-1 or +1"),
    ] {
        let options = serde_json::from_str(options).expect("options are JSON");
        let criterion =
            Criterion::from_boxed(losses::from_name(name, &options).unwrap(), &Device::cpu())
                .unwrap();
        let error = criterion
            .value_and_gradient(&array![0.5_f32], &array![target as f32])
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(name) && error.contains(words), "{error}");
    }
}

/// The target of one row.
#[derive(Clone, Copy, Debug)]
enum Truth {
    Label(i64),
    Dense(&'static [f64]),
}

use Truth::{Dense, Label};

/// Loss, options, predictions and target of one row, its value and its derivatives.
type OneRow = (&'static str, &'static str, &'static [f64], Truth, f64, &'static [f64]);

#[rustfmt::skip]
const ROWS: &[OneRow] = &[
    ("focal", "{}", &[10.0, -10.0, -12.0], Label(0), 1.281455376771e-26, &[-3.844366122815e-26, 3.386106447653e-26, 4.582596751624e-27]),
    ("focal", "{}", &[40.0, -40.0], Label(0), 5.879282698245e-105, &[-1.763784809474e-104, 1.763784809474e-104]),
    ("focal", r#"{"gamma": 0.5}"#, &[20.0, -5.0, -7.0], Label(0), 6.26099173977e-17, &[-9.391487609556e-17, 8.271994844362e-17, 1.119492765194e-17]),
    ("focal", r#"{"gamma": 0.5}"#, &[60.0, -5.0], Label(0), 4.531980311123e-43, &[-6.797970466685e-43, 6.797970466685e-43]),
    ("focal", "{}", &[-10000.0, 10000.0, 0.0], Label(0), 20000.0, &[-1.0, 1.0, 0.0]),
    ("focal", "{}", &[10000.0, -10000.0, 0.0], Label(0), 0.0, &[-0.0, 0.0, 0.0]),
    ("focal", "{}", &[3.0], Label(0), 0.0, &[0.0]),
    ("focal", r#"{"gamma": 0.0}"#, &[3.0], Label(0), 0.0, &[0.0]),
    ("focal", "{}", &[-INF, 1.0, 2.0], Label(0), INF, &[0.0, 0.26894142137, 0.73105857863]),
    ("focal", "{}", &[1.0, -INF, 2.0], Label(0), 0.7018683034114, &[-0.7682347231993, 0.0, 0.7682347231993]),
    ("focal", r#"{"gamma": 1.5}"#, &[7.0, -1.0], Label(0), 2.059771428308e-09, &[-5.148047062229e-09, 5.148047062229e-09]),
    ("generalized_cross_entropy", r#"{"q": 0.7}"#, &[20.0, -1.0], Label(0), 7.582560423025e-10, &[-7.582560418138e-10, 7.582560418138e-10]),
    ("generalized_cross_entropy", r#"{"q": 0.00001}"#, &[1.0, 2.0, -3.0], Label(0), 1.318166741353, &[-0.7323671919021, 0.7274655674649, 0.004901624437238]),
    ("generalized_cross_entropy", r#"{"q": 1.0}"#, &[-60.0, 5.0], Label(0), 1.0, &[-5.900090541597e-29, 5.900090541597e-29]),
    ("generalized_cross_entropy", r#"{"q": 0.5}"#, &[-10000.0, 10000.0], Label(0), 2.0, &[-0.0, 0.0]),
    ("generalized_cross_entropy", r#"{"q": 0.5}"#, &[-INF, 0.0, 1.0], Label(0), 2.0, &[0.0, 0.0, 0.0]),
    ("generalized_cross_entropy", "{}", &[2.0], Label(0), 0.0, &[0.0]),
    ("poly1_cross_entropy", r#"{"epsilon": -0.5}"#, &[6.0, -1.0], Label(0), 0.0004559408565739, &[-0.0004559406043397, 0.0004559406043397]),
    ("poly1_cross_entropy", r#"{"epsilon": 1000000.0}"#, &[-20.0, 3.0], Label(0), 1000022.999897, &[-1.000102618694, 1.000102618694]),
    ("poly1_cross_entropy", "{}", &[25.0, -1.0, 0.0], Label(0), 5.699109867818e-11, &[-5.699109867728e-11, 1.53272670837e-11, 4.166383159357e-11]),
    ("poly1_cross_entropy", "{}", &[-INF, 0.0], Label(0), INF, &[0.0, 1.0]),
    ("poly_cross_entropy", r#"{"epsilons": [1.0, -0.5, 0.25]}"#, &[12.0, -1.0, 0.5], Label(0), 2.478053897097e-05, &[-2.478023193564e-05, 4.520546790901e-06, 2.025968514473e-05]),
    ("poly_cross_entropy", r#"{"epsilons": [1.0, -0.5, 0.25]}"#, &[-10000.0, 10000.0], Label(0), 20000.75, &[-1.0, 1.0]),
    ("multi_margin", "{}", &[2.0, 1.0, 0.5, -INF], Label(0), 0.0, &[0.0, 0.0, 0.0, 0.0]),
    ("multi_margin", r#"{"p": 2}"#, &[1.0, 0.0, 1.5], Label(0), 0.75, &[-1.0, 0.0, 1.0]),
    ("multi_margin", "{}", &[5.0], Label(0), 0.0, &[0.0]),
    ("multi_margin", r#"{"p": 2, "margin": 0.5}"#, &[-10000.0, 10000.0], Label(0), 200010000.125, &[-20000.5, 20000.5]),
    ("cross_entropy", r#"{"target_logit_transform": "arcface"}"#, &[1.0, 0.5, -1.0], Label(0), 3.200004006815e-11, &[-2.845581321688e-06, 2.048002564329e-09, 4.159682981671e-51]),
    ("cross_entropy", r#"{"target_logit_transform": "arcface"}"#, &[-1.0, 0.5, -0.5], Label(0), 111.3416172353, &[-64.0, 64.0, 1.026438969951e-26]),
    ("cross_entropy", r#"{"target_logit_transform": "arcface"}"#, &[0.9999, 0.995, -0.5], Label(0), 7.954636510546, &[-2224.673666409, 63.97753402704, 1.789498486564e-40]),
    ("cross_entropy", r#"{"target_logit_transform": "arcface", "scale": 4.0}"#, &[0.99999994, 0.5], Label(0), 0.1996565587745, &[-1005.889517501, 0.7239520509517]),
    ("cross_entropy", r#"{"target_logit_transform": "arcface", "scale": 4.0}"#, &[-0.85, 0.5], Label(0), 5.996483598083, &[-0.4149512097579, 3.990050064766]),
    ("cross_entropy", r#"{"target_logit_transform": "arcface", "scale": 4.0}"#, &[-0.8777, 0.5], Label(0), 6.471199528922, &[-3.993810525976, 3.993810525976]),
    ("cross_entropy", r#"{"target_logit_transform": "cosface"}"#, &[1.0, 0.5, -1.0], Label(0), 6.772644300354e-05, &[-0.004334345575665, 0.004334345575665, 8.803457496491e-45]),
    ("jsd", "{}", &[-0.5, -1.0], Dense(&[-0.75, -0.625]), 0.01198212269803, &[0.03554505020467, -0.03770324354044]),
    ("jsd", r#"{"beta": 0.1}"#, &[0.0, -100.0, -INF], Dense(&[-100.0, 0.0, -INF]), 0.3250829733914, &[0.09482446409204, -3.270976255034e-42, 0.0]),
    ("jsd", r#"{"beta": 0.9}"#, &[-1.0, -INF, -0.5], Dense(&[-INF, -1.0, -3.0]), 0.1920657155951, &[0.08470737172603, 0.0, 0.1061070806874]),
    ("jsd", r#"{"beta": 0.001}"#, &[-2.0, -0.5], Dense(&[-1.0, -0.25]), 0.0001575412195469, &[-0.0002321122537032, -0.0001720734177799]),
    ("jsd", r#"{"beta": 0.001}"#, &[-5.0, -0.1], Dense(&[-0.1, -5.0]), 0.004342882898549, &[-0.0008422405964049, 0.0008976469252109]),
    ("distillation", "{}", &[10000.0, -10000.0], Dense(&[-10000.0, 10000.0]), 40000.0, &[2.0, -2.0]),
    ("distillation", r#"{"temperature": 1.0}"#, &[1.0, 2.0, -INF], Dense(&[0.5, 2.5, -INF]), 0.06713075445313, &[0.1497384993479, -0.1497384993479, 0.0]),
    ("distillation", r#"{"temperature": 1.0}"#, &[1.0, 2.0, 3.0], Dense(&[-INF, -INF, 0.0]), 0.4076059644444, &[0.09003057317038, 0.2447284710548, -0.3347590442252]),
    ("distillation", r#"{"temperature": 1.0}"#, &[-INF, 2.0, 3.0], Dense(&[1.0, 0.0, 0.0]), INF, &[0.0, 0.05699986375291, 0.5191170210129]),
    ("distillation", r#"{"temperature": 4.0, "scaled": false}"#, &[3.0], Dense(&[-7.0]), 0.0, &[0.0]),
    ("ordinal", "{}", &[10000.0, -10000.0], Label(2), 10000.0, &[-0.0, -1.0]),
    ("ordinal", "{}", &[10000.0, -10000.0], Label(0), 10000.0, &[1.0, 0.0]),
    ("ordinal", "{}", &[20.0, -20.0], Label(1), 4.122307240629e-09, &[-2.06115361819e-09, 2.06115361819e-09]),
    ("ordinal", "{}", &[INF, -INF], Label(1), 0.0, &[0.0, 0.0]),
    ("ordinal", "{}", &[0.5], Label(1), 0.4740769841801, &[-0.3775406687981]),
    // Tied maxima divide the derivative equally; a label exactly 1 above passes none; a single
    // class has no competitor.
    ("multiclass_hinge", "{}", &[0.0, 2.0, 2.0, 1.0], Label(0), 3.0, &[-1.0, 0.5, 0.5, 0.0]),
    ("multiclass_hinge", "{}", &[2.0, 1.0, 1.0], Label(0), 0.0, &[0.0, 0.0, 0.0]),
    ("multiclass_hinge", "{}", &[-7.0], Label(0), 0.0, &[0.0]),
    ("multiclass_hinge", "{}", &[1.0, -INF], Label(0), 0.0, &[0.0, 0.0]),
    ("multiclass_hinge", "{}", &[-INF, 1.0, 0.0], Label(0), INF, &[-1.0, 1.0, 0.0]),
    // As in Keras, the label's own 0 is in the maximum.
    ("categorical_hinge", "{}", &[0.5, -3.0, -2.0], Label(0), 0.5, &[-1.0, 0.0, 0.0]),
    ("categorical_hinge", "{}", &[0.5, -3.0, -2.0], Dense(&[1.0, 0.0, 0.0]), 0.5, &[-1.0, 0.0, 0.0]),
    ("categorical_hinge", "{}", &[0.0, 2.0, 2.0], Label(0), 3.0, &[-1.0, 0.5, 0.5]),
    ("categorical_hinge", "{}", &[2.0, 4.0], Dense(&[0.25, 0.75]), 0.0, &[0.0, 0.0]),
    ("categorical_hinge", "{}", &[-1e4, 1e4], Label(0), 20001.0, &[-1.0, 1.0]),
    ("nll", "{}", &[-0.25, -INF], Label(1), INF, &[0.0, -1.0]),
    ("nll", "{}", &[-0.25, -INF], Label(0), 0.25, &[-1.0, 0.0]),
    ("multilabel_soft_margin", "{}", &[1e4, -1e4], Dense(&[0.0, 1.0]), 1e4, &[0.5, -0.5]),
    ("multilabel_soft_margin", "{}", &[INF, -INF], Dense(&[1.0, 0.0]), 0.0, &[0.0, 0.0]),
    ("multilabel_soft_margin", "{}", &[20.0], Dense(&[1.0]), 2.061153620314e-9, &[-2.06115361819e-9]),
    // Nothing present and nothing found; everything found; very little of it.
    ("dice", r#"{"smooth": 0.0}"#, &[0.0, 0.0], Dense(&[0.0, 0.0]), 0.0, &[0.0, 0.0]),
    ("dice", r#"{"smooth": 0.0}"#, &[1.0, 0.0], Dense(&[1.0, 0.0]), 0.0, &[-0.5, 0.5]),
    ("dice", r#"{"smooth": 0.0}"#, &[9.5367431640625e-7, 1.0], Dense(&[1.0, 0.0]), 0.999999046326, &[-0.999999046326, 4.768367035e-7]),
    ("tversky", r#"{"smooth": 0.0}"#, &[0.0, 0.0], Dense(&[0.0, 0.0]), 0.0, &[0.0, 0.0]),
    ("tversky", r#"{"false_positive_weight": 0.0, "false_negative_weight": 0.0}"#, &[0.5, 0.5], Dense(&[1.0, 0.0]), 0.0, &[0.0, 0.0]),
    ("total_variation", "{}", &[0.5, 0.5, 0.0], Dense(&[0.5, 0.25, 0.25]), 0.25, &[0.0, 0.5, -0.5]),
];

fn evaluate_row(row: &OneRow, device: &Device) -> (f64, Vec<f64>) {
    let &(name, options, scores, truth, ..) = row;
    let options = serde_json::from_str(options).expect("options are JSON");
    let loss = losses::from_name(name, &options).unwrap_or_else(|error| panic!("{error}"));
    let criterion =
        Criterion::from_boxed(loss, device).expect("it opened before").reduction(Reduction::Sum);
    let one = |numbers: &[f64]| {
        Array2::from_shape_fn((1, numbers.len()), |(_, column)| numbers[column] as f32)
    };
    let (predictions, labels, dense);
    predictions = one(scores);
    let targets = match truth {
        Label(label) => {
            labels = array![label];
            gradus::Targets::from(&labels)
        }
        Dense(numbers) => {
            dense = one(numbers);
            gradus::Targets::from(&dense)
        }
    };
    let found = criterion.evaluate_f64(&gradus::Inputs::new(&predictions, targets));
    let found = found.unwrap_or_else(|error| panic!("{name} of {row:?}: {error}"));
    (found.value(), found.gradient.iter().copied().collect())
}

/// A logit of up to 64 (the scale of ArcFace) is rounded at 4e-6, with its margin and once more
/// relative to the maximum; e^x turns that into a relative error, and so do the value and each
/// derivative.
const ROW_SHARE: f64 = 2e-5;

#[test]
fn losses_over_classes_are_right_at_their_edges() {
    let mut failures = Vec::new();
    for device in each_device() {
        let share = if device.name() == "reference" { 1e-8 } else { ROW_SHARE };
        let flushed =
            if device.name() == "reference" { 1e-44 } else { 2.0 * f64::from(f32::MIN_POSITIVE) };
        for row in ROWS {
            let (value, derivatives) = evaluate_row(row, &device);
            let is_right = |found: f64, expected: f64| {
                found == expected || (found - expected).abs() <= share * expected.abs() + flushed
            };
            let right = is_right(value, row.4)
                && derivatives.iter().zip(row.5).all(|(&found, &wanted)| is_right(found, wanted));
            if !right {
                failures.push(format!("{} {row:?}: {value:e}, {derivatives:?}", device.name()));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn targets_of_another_kind_than_a_loss_over_classes_takes_are_refused() {
    fn refused<'a>(
        predictions: &'a Array2<f32>,
        name: &str,
        targets: gradus::Targets<'a>,
    ) -> String {
        let loss = losses::from_name(name, &serde_json::Value::Null).unwrap();
        let criterion = Criterion::from_boxed(loss, &Device::cpu()).unwrap();
        criterion.evaluate(&gradus::Inputs::new(predictions, targets)).unwrap_err().to_string()
    }
    let (predictions, dense) = (array![[0.25_f32, 0.75]], array![[0.5_f32, 0.5]]);
    let (labels, last, beyond) = (array![1_i64], array![2_i64], array![3_i64]);
    for name in ["nll", "generalized_cross_entropy", "multi_margin", "multiclass_hinge", "ordinal"]
    {
        let error = refused(&predictions, name, (&dense).into());
        assert!(error.starts_with(name) && error.contains("class labels"), "{error}");
    }
    for name in
        ["jsd", "dice", "tversky", "total_variation", "distillation", "multilabel_soft_margin"]
    {
        let error = refused(&predictions, name, (&labels).into());
        assert!(error.starts_with(name) && error.contains("dense targets"), "{error}");
    }
    // Two thresholds separate three classes.
    assert!(refused(&predictions, "ordinal", (&beyond).into()).contains('3'));
    assert!(refused(&predictions, "nll", (&last).into()).contains('2'));
}

/// The softmax of a single class is 1 for any logit. A random case once gave 2.4e-7 here, from
/// terms that should have cancelled.
#[test]
fn one_class_has_no_gradient_under_dense_targets() {
    let predictions = Array2::from_shape_fn((40, 1), |(row, _)| 0.37 * row as f32 - 7.0);
    let targets = Array2::from_shape_fn((40, 1), |(row, _)| 1.0 - 0.013 * row as f32);
    for device in each_device() {
        for name in ["poly1_cross_entropy", "poly_cross_entropy"] {
            let entry = losses::entry(name).expect("it is in the list");
            for options in std::iter::once(&"{}").chain(entry.variants) {
                let options = serde_json::from_str(options).expect("options are JSON");
                let loss =
                    losses::from_name(name, &options).unwrap_or_else(|error| panic!("{error}"));
                let criterion = Criterion::from_boxed(loss, &device).expect("it opened before");
                let step = criterion
                    .value_and_gradient(&predictions, &targets)
                    .expect("dense targets are taken");
                assert!(
                    step.gradient.iter().all(|&derivative| derivative == 0.0),
                    "{name} {options} on {}",
                    device.name()
                );
            }
        }
    }
}
