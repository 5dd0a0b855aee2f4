//! Networks of the literature.

use gradus::Sequential;
use gradus::zoo::{Bert, Gpt, Vgg11, lenet5, resnet, resnet18, small_cnn};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::device::device_of;
use crate::errors::refused;
use crate::model::{Model, key};

/// A network by its name in `gradus_ml.zoo`, with all of that function's arguments.
#[pyfunction]
pub fn zoo(
    py: Python<'_>,
    name: &str,
    given: &Bound<'_, PyDict>,
    seed: u64,
    device: &Bound<'_, PyAny>,
) -> PyResult<Model> {
    let network = network(name, given)?.seed(seed);
    let device = device_of(py, Some(device))?;
    Model::on(py, &device, |device| network.on(device))
}

fn network(name: &str, given: &Bound<'_, PyDict>) -> PyResult<Sequential> {
    let size = |name: &str| key(given, name)?.extract::<usize>();
    let image = || key(given, "image")?.extract::<[usize; 3]>();
    let number = |name: &str| key(given, name)?.extract::<f64>();
    let flag = |name: &str| key(given, name)?.extract::<bool>();
    let option = |name: &str| key(given, name)?.extract::<Option<usize>>();
    Ok(match name {
        "lenet5" => lenet5(image()?, size("classes")?),
        "small_cnn" => small_cnn(image()?, size("classes")?),
        "vgg11" => {
            let hidden: Vec<usize> = key(given, "hidden")?.extract()?;
            let vgg = Vgg11::new().filters(size("filters")?).hidden(&hidden);
            vgg.dropout(number("dropout")?).build(image()?, size("classes")?)
        }
        "resnet" => resnet(size("blocks")?, image()?, size("classes")?),
        "resnet18" => resnet18(image()?, size("classes")?, size("filters")?),
        "gpt" => {
            let gpt = Gpt::new(size("vocabulary")?, size("context")?)
                .layers(size("layers")?)
                .heads(size("heads")?)
                .width(size("width")?)
                .bias(flag("bias")?)
                .dropout(number("dropout")?)
                .tanh_gelu(flag("tanh_gelu")?);
            option("positions")?.map_or(gpt.clone(), |rows| gpt.positions(rows)).build()
        }
        "bert" => {
            let bert = Bert::new(size("vocabulary")?, size("tokens")?)
                .layers(size("layers")?)
                .heads(size("heads")?)
                .width(size("width")?)
                .epsilon(number("epsilon")?)
                .positions(size("positions")?)
                .types(size("types")?)
                .padding(size("padding")?)
                .dropout(number("dropout")?);
            let bert = option("hidden")?.map_or(bert.clone(), |units| bert.hidden(units));
            if flag("mean_pooling")? { bert.mean_pooling().build() } else { bert.build() }
        }
        _ => return Err(refused("zoo", "the network", "is unknown", "see help(gradus_ml.zoo)")),
    })
}
