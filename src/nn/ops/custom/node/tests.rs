//! A product of two inputs and a parameter, on each device, and what an op must not return.

use super::*;
use crate::nn::ops::custom::OpGradients;

/// y = a b g of two inputs, with a g for each number of a row.
#[derive(Debug)]
struct Product;

impl CustomOp for Product {
    fn name(&self) -> &str {
        "product"
    }

    fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
        match inputs {
            [a, b] if a == b => Ok(a.to_vec()),
            _ => Err(Error::Shape {
                operation: "product (custom)".into(),
                found: format!("inputs of shapes {inputs:?}"),
                allowed: "two of one shape".into(),
            }),
        }
    }

    fn parameters(&self, inputs: &[&[usize]]) -> Vec<OpParameter> {
        vec![OpParameter::normal("gain", inputs[0], 0.5)]
    }

    fn forward(&self, pass: &OpPass) -> Vec<f64> {
        let pairs = pass.inputs[0].iter().zip(pass.inputs[1]);
        pairs.zip(pass.parameters[0].iter().cycle()).map(|((a, b), g)| a * b * g).collect()
    }

    fn backward(&self, pass: &OpPass, grad_output: &[f64]) -> OpGradients {
        let (a, b, g) = (pass.inputs[0], pass.inputs[1], pass.parameters[0]);
        let at = |i: usize| g[i % g.len()] * grad_output[i];
        let mut gain = vec![0.0; g.len()];
        (0..a.len()).for_each(|i| gain[i % g.len()] += grad_output[i] * a[i] * b[i]);
        let inputs = [b, a].map(|other| (0..a.len()).map(|i| at(i) * other[i]).collect());
        OpGradients { inputs: inputs.into(), parameters: vec![gain] }
    }

    fn kernels(&self) -> Option<OpKernels> {
        Some(OpKernels {
            forward: "fn output_at(i: u32) -> f32 {
return input0(i) * input1(i) * parameter0(i % parameter0_length());
}",
            backward: "fn scaled(i: u32) -> f32 {
return grad_output(i) * parameter0(i % parameter0_length());
}
fn grad_input0_at(i: u32) -> f32 { return scaled(i) * input1(i); }
fn grad_input1_at(i: u32) -> f32 { return scaled(i) * input0(i); }
fn grad_parameter0_at(i: u32) -> f32 {
var sum = 0.0;
for (var row = 0u; row < rows(); row++) {
    let at = row * output_length() + i;
    sum += grad_output(at) * input0(at) * input1(at);
}
return sum;
}",
        })
    }
}

/// An op that returns too little, and has no kernels.
#[derive(Debug)]
struct Short;

impl CustomOp for Short {
    fn name(&self) -> &str {
        "short"
    }

    fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
        Ok(inputs[0].to_vec())
    }

    fn forward(&self, pass: &OpPass) -> Vec<f64> {
        pass.inputs[0][1..].to_vec()
    }

    fn backward(&self, _: &OpPass, _: &[f64]) -> OpGradients {
        OpGradients::default()
    }
}

#[test]
fn what_an_op_must_not_return_is_named() {
    use crate::layers::closure;
    use crate::{Device, Sequential};
    let layer = || closure(|builder, x| builder.custom(Short, &[x]));
    let network = || Sequential::new(3).then(layer());
    let x = ndarray::Array2::<f32>::zeros((2, 3));
    let message = network().on(&Device::cpu()).unwrap().predict(&x).unwrap_err().to_string();
    assert!(message.contains("short") && message.contains("5 numbers; 6"), "{message}");
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = Device::gpu().unwrap();
    let message = network().on(&gpu).unwrap().predict(&x).unwrap_err().to_string();
    assert!(message.contains("short") && message.contains("kernels"), "{message}");
}

pub(super) fn examples() -> Vec<Example> {
    let example = |shape: &[usize]| Example {
        op: Box::new(Custom { op: Arc::new(Product) }),
        inputs: vec![shape.to_vec(); 2],
    };
    vec![example(&[5]), example(&[3, 2])]
}
