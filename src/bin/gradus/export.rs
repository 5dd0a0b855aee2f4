//! `gradus export`: a saved model in the formats of other programs.

use std::path::PathBuf;

use clap::Args;
use gradus::{Device, Model};

use crate::output::{Failure, Outcome};
use crate::{output, saved};

/// Writes a saved model in the formats of other programs
#[derive(Args)]
pub struct Export {
    /// A model that `gradus train --out` saved
    model: PathBuf,
    /// Writes the network as an ONNX file, which onnxruntime and others run
    #[arg(long, value_name = "FILE", required_unless_present = "weights")]
    onnx: Option<PathBuf>,
    /// Writes the weights as safetensors by PyTorch's names and order of axes
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
}

impl Export {
    pub fn run(&self) -> Outcome {
        saved::check_kind("MODEL", &self.model, saved::Kind::Network)?;
        let outputs = [("--onnx", &self.onnx), ("--weights", &self.weights)];
        for (flag, path) in outputs {
            let Some(path) = path else { continue };
            saved::check_out(flag, path, &[("MODEL", self.model.clone())])?;
        }
        if let (Some(one), Some(other)) = (&self.onnx, &self.weights)
            && saved::is_same(one, other)
        {
            let path = one.display();
            return Err(Failure::Usage(format!("--onnx and --weights: both are {path}")));
        }
        // Numbers are read and written, not computed: no device is asked for.
        let device = Device::reference();
        let mut model =
            Model::load(&self.model, &device).map_err(|error| Failure::from(error).of("MODEL"))?;
        if model.keeps_average() {
            model = model.averaged()?;
            output::note("the weights are the averaged ones, as `gradus predict` takes them");
        }
        for (flag, path) in outputs {
            let Some(path) = path else { continue };
            let written = match flag {
                "--onnx" => model.save_onnx(path),
                _ => model.save_weights(path),
            };
            written.map_err(|error| Failure::from(error).of(flag))?;
            output::note(&format!("wrote {}", path.display()));
        }
        let encodes = model.encoding().is_some_and(gradus::data::Encoding::takes_tables);
        if encodes && self.onnx.is_some() {
            output::note(
                "the ONNX file takes the encoded columns, not those of the table: their names stand in its metadata under `features`",
            );
        }
        Ok(())
    }
}
