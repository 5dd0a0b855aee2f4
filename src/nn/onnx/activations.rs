//! Activations in ONNX's operators of opset 17.

use crate::Result;
use crate::nn::activations::activation::Activation;
use crate::nn::onnx::writer::{Attribute, Writer, refused};

/// λ and α of selu, in f64.
const SELU: [f64; 2] = [1.050_700_987_355_480_5, 1.673_263_242_354_377_2];

/// √(2/π) of gelu's approximation.
const ROOT: f64 = 0.797_884_560_802_865_4;

/// The activation of a tensor; of each number by itself, so softmax is not among them.
pub(super) fn activate(
    writer: &mut Writer,
    activation: &dyn Activation,
    input: &str,
) -> Result<String> {
    let options = activation.options();
    let option = |name: &str| options[name].as_f64().unwrap_or(0.0);
    let plain = |writer: &mut Writer, kind: &str| writer.node(kind, &[input], &[]);
    Ok(match activation.name() {
        "identity" => input.into(),
        "relu" => plain(writer, "Relu"),
        "sigmoid" => plain(writer, "Sigmoid"),
        "tanh" => plain(writer, "Tanh"),
        "hard_swish" => plain(writer, "HardSwish"),
        "relu6" => {
            let [low, high] = [0.0, 6.0].map(|bound| writer.float(bound));
            writer.node("Clip", &[input, &low, &high], &[])
        }
        "elu" => writer.node("Elu", &[input], &[("alpha", Attribute::Float(option("alpha")))]),
        "selu" => {
            let attributes =
                [("alpha", Attribute::Float(SELU[1])), ("gamma", Attribute::Float(SELU[0]))];
            writer.node("Selu", &[input], &attributes)
        }
        "leaky_relu" => {
            let slope = Attribute::Float(option("negative_slope"));
            writer.node("LeakyRelu", &[input], &[("alpha", slope)])
        }
        "hard_sigmoid" => {
            let attributes =
                [("alpha", Attribute::Float(1.0 / 6.0)), ("beta", Attribute::Float(0.5))];
            writer.node("HardSigmoid", &[input], &attributes)
        }
        "silu" => {
            let sigmoid = plain(writer, "Sigmoid");
            writer.node("Mul", &[input, &sigmoid], &[])
        }
        "mish" => {
            let softplus = plain(writer, "Softplus");
            let tanh = writer.node("Tanh", &[&softplus], &[]);
            writer.node("Mul", &[input, &tanh], &[])
        }
        "gelu" => gelu(writer, options["approximate"] == "tanh", input),
        "softplus" => softplus(writer, [option("beta"), option("threshold")], input),
        name => {
            return Err(refused(
                &writer.path,
                format!("has the activation {name}"),
                "one of the list",
            ));
        }
    })
}

/// The activation that an op applies to its output, if any.
pub(super) fn epilogue(
    writer: &mut Writer,
    activation: Option<&dyn Activation>,
    name: String,
) -> Result<String> {
    match activation {
        Some(activation) => activate(writer, activation, &name),
        None => Ok(name),
    }
}

/// x Φ(x), or its approximation by tanh.
fn gelu(writer: &mut Writer, by_tanh: bool, x: &str) -> String {
    let [half, one] = [0.5, 1.0].map(|number| writer.float(number));
    let inner = if by_tanh {
        let [cubic, root] = [0.044715, ROOT].map(|number| writer.float(number));
        let square = writer.node("Mul", &[x, x], &[]);
        let square = writer.node("Mul", &[&square, &cubic], &[]);
        let factor = writer.node("Add", &[&square, &one], &[]);
        let factor = writer.node("Mul", &[&factor, &root], &[]);
        let inner = writer.node("Mul", &[&factor, x], &[]);
        writer.node("Tanh", &[&inner], &[])
    } else {
        let root = writer.float(std::f64::consts::SQRT_2);
        let inner = writer.node("Div", &[x, &root], &[]);
        writer.node("Erf", &[&inner], &[])
    };
    let sum = writer.node("Add", &[&inner, &one], &[]);
    let product = writer.node("Mul", &[x, &sum], &[]);
    writer.node("Mul", &[&product, &half], &[])
}

/// ln(1 + e^(βx))/β, x where βx is above the threshold.
fn softplus(writer: &mut Writer, [beta, threshold]: [f64; 2], x: &str) -> String {
    let [beta, threshold] = [beta, threshold].map(|number| writer.float(number));
    let scaled = writer.node("Mul", &[x, &beta], &[]);
    let soft = writer.node("Softplus", &[&scaled], &[]);
    let soft = writer.node("Div", &[&soft, &beta], &[]);
    let above = writer.node("Greater", &[&scaled, &threshold], &[]);
    writer.node("Where", &[&above, x, &soft], &[])
}
