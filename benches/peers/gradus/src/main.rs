//! The benchmark cases in gradus: `gradus-peer --device gpu|cpu`. Also writes the inputs that both
//! libraries read.

#[path = "../../protocol.rs"]
mod protocol;

mod cpu;
mod gpu;
mod inputs;
mod layers;
mod networks;
mod training;

use gradus::Device;

use protocol::Prepared;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = match arguments.as_slice() {
        [] => "gpu",
        [flag, name] if flag == "--device" => name,
        _ => "",
    };
    let device = match Device::named(name) {
        Ok(device) => device,
        Err(error) => {
            eprintln!("--device: {error}");
            std::process::exit(2);
        }
    };
    protocol::serve(&format!("gradus {}", device.describe()), "gradus", |request| {
        if request.what == "inputs" {
            inputs::write(request)?;
            return Ok(None);
        }
        if let Some(spec) = layers::spec(request)? {
            return Ok(Some(Box::new(layers::Layer::new(request, spec, &device)?)));
        }
        if let Some(network) = networks::network(request)? {
            return Ok(Some(Box::new(networks::Network::new(request, network, &device)?)));
        }
        let is_host = matches!(device, Device::Cpu);
        Ok(Some(match request.case.as_str() {
            "matmul" if is_host => Box::new(cpu::Matmul::new(request)?) as Box<dyn Prepared>,
            "dense" if is_host => Box::new(cpu::Dense::new(request)?),
            "mse" | "mae" | "huber" | "bce_with_logits" | "cross_entropy" | "focal" | "nll"
            | "multi_margin" | "kl_div"
                if is_host =>
            {
                Box::new(cpu::Loss::new(request)?)
            }
            "triplet_margin" | "info_nce" | "ctc" | "linear_cross_entropy" if is_host => {
                Box::new(cpu::Several::new(request)?)
            }
            "mse" | "mae" | "huber" | "bce_with_logits" | "cross_entropy" => {
                Box::new(gpu::Loss::new(request, &device)?)
            }
            "matmul" => Box::new(gpu::Matmul::new(request, &device)?),
            "dense" => Box::new(gpu::Dense::new(request, &device)?),
            "train_step" | "epoch" => Box::new(training::Training::new(request, &device)?),
            _ => return Ok(None),
        }))
    });
}
