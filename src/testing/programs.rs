//! Every program of the library as text, for tests with other compilers.

use std::sync::Arc;

use serde_json::Value;

use crate::nn::ops::matmul::kind::Kind;
use crate::nn::ops::matmul::product::join_programs;
use crate::nn::ops::matmul::{Epilogue, Layout, TILES, Variant};
use crate::nn::{activations, optimizers};
use crate::runtime::kernel::Program;
use crate::runtime::wgsl;
use crate::testing::report::{options_value, sets_of_options};
use crate::{Result, losses, nn, recommend, runtime, templates};

/// A program as passed to the device.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Joined {
    /// The kernel's label, shared by the variants of a loss.
    pub label: String,
    /// The kernel's label and the switches that select this variant.
    pub name: String,
    /// Its files under `shaders/`.
    pub files: Vec<&'static str>,
    /// The whole text.
    pub text: String,
    /// The values of its `override`s.
    pub constants: Vec<(&'static str, f64)>,
}

impl From<Program> for Joined {
    fn from(program: Program) -> Self {
        let constants: Vec<String> =
            program.constants.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let header: Vec<&str> = program
            .header
            .split(['\n', ';'])
            .filter(|line| line.starts_with("const "))
            .filter_map(|line| line.split(" = ").nth(1))
            .collect();
        let files: Vec<&str> = program.files.iter().map(|file| file.name).collect();
        Joined {
            name: format!(
                "{} [{}] {} {}",
                program.label,
                files.join(" "),
                header.join(" "),
                constants.join(" ")
            ),
            text: wgsl::join(&program.header, &program.files),
            label: program.label,
            files,
            constants: program.constants,
        }
    }
}

/// All programs: losses with each kernel template, products with their activations, optimizers,
/// batches, sums, the ceilings of the benchmark.
///
/// # Errors
/// [`crate::Error::Option`] if a catalogue lists an invalid variant.
#[doc(hidden)]
pub fn all_programs() -> Result<Vec<Joined>> {
    let mut programs: Vec<Program> = templates::sum::sum_programs();
    programs.extend(templates::normalizer::programs());
    programs.extend(templates::on_device::programs());
    programs.extend(crate::testing::bench::programs());
    for entry in losses::CATALOGUE {
        for options in sets_of_options(entry.variants) {
            let loss = (entry.make)(&options_value(entry.name, options)?)?;
            programs.extend(templates::programs::programs(&*loss)?);
        }
    }
    let mut made_optimizers = Vec::new();
    for entry in optimizers::CATALOGUE {
        for options in sets_of_options(entry.variants) {
            made_optimizers.push((entry.make)(&options_value(entry.name, options)?)?);
        }
    }
    programs.extend(nn::optimizers::update::programs(&made_optimizers));
    programs.extend(runtime::sort::programs());
    programs.extend(recommend::kernels::programs());
    programs.extend(nn::embedding::kernels::programs(&made_optimizers));
    programs.extend(small_model_programs()?);
    let mut made = Vec::new();
    for entry in activations::CATALOGUE {
        for options in sets_of_options(entry.variants) {
            made.push((entry.make)(&options_value(entry.name, options)?)?);
        }
    }
    programs.extend(nn::ops::OPS.iter().flat_map(|entry| (entry.programs)()));
    programs.extend([nn::ops::gather::programs(), nn::ops::metrics::programs()].concat());
    programs.extend(nn::ops::watch::programs());
    programs.extend(nn::ops::matmul::half::programs());
    programs.extend(nn::ops::matmul::cooperative::programs());
    programs.push(nn::loss_scale::program());
    for (number, activation) in made.iter().filter(|activation| !activation.rowwise()).enumerate() {
        // Each activation with one tile, the first with all of them.
        let tiles = if number == 0 { &TILES[..] } else { &TILES[TILES.len() - 1..] };
        for (variant, layout, epilogue) in products(tiles) {
            if number == 0 || epilogue != Epilogue::WeightGradient {
                let activation =
                    Some(&**activation).filter(|_| epilogue != Epilogue::WeightGradient);
                let kind = Kind { epilogue, activation, ..Kind::plain(layout) };
                programs.push(kind.program(&variant));
            }
        }
        programs.extend(join_programs(&**activation));
    }
    Ok(programs.into_iter().map(Joined::from).collect())
}

/// The programs of matrix units, which only a device that has them compiles.
#[doc(hidden)]
pub fn unit_programs() -> Vec<Joined> {
    let programs = nn::ops::matmul::cooperative::unit_programs(&nn::activations::Gelu::new());
    programs.into_iter().map(Joined::from).collect()
}

/// A program listing for people.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Listing {
    /// The kernel's label.
    pub label: String,
    /// The values of its `override`s; those not listed keep their defaults.
    pub constants: Vec<(&'static str, f64)>,
    /// The whole text, with file and lines of each section in comments.
    pub text: String,
}

impl From<Program> for Listing {
    fn from(program: Program) -> Self {
        let text = wgsl::join_with_places(&program.header, &program.files);
        Listing { label: program.label, constants: program.constants, text }
    }
}

/// The programs of a loss, an activation or an optimizer with its default options, the simplest
/// first; empty for an unknown name.
///
/// # Errors
/// [`crate::Error::Option`] if the entry rejects its own defaults.
#[doc(hidden)]
pub fn listings_of(name: &str) -> Result<Vec<Listing>> {
    let mut programs = Vec::new();
    if let Ok(entry) = losses::entry(name) {
        programs = templates::programs::programs(&*(entry.make)(&Value::Null)?)?;
    } else if let Ok(entry) = activations::entry(name) {
        programs = nn::ops::activation_programs(&*(entry.make)(&Value::Null)?);
    } else if let Ok(entry) = optimizers::entry(name) {
        programs = nn::optimizers::update::programs_of(&*(entry.make)(&Value::Null)?);
    }
    Ok(programs.into_iter().map(Listing::from).collect())
}

/// Fused small-model kernels: every loss, every optimizer, every activation.
fn small_model_programs() -> Result<Vec<Program>> {
    let options = Value::Null;
    let losses: Vec<Arc<dyn losses::LossDefinition>> = losses::CATALOGUE
        .iter()
        .map(|entry| Ok((entry.make)(&options)?.into()))
        .collect::<Result<_>>()?;
    let losses: Vec<_> = losses
        .into_iter()
        .filter(|loss| losses::check_trainable(&**loss).is_ok() && !loss.targets().pads())
        .collect();
    let optimizers: Vec<Arc<dyn optimizers::Optimizer>> = optimizers::CATALOGUE
        .iter()
        .map(|entry| Ok((entry.make)(&options)?.into()))
        .collect::<Result<_>>()?;
    let activations =
        activations::CATALOGUE.iter().map(|entry| (entry.make)(&options)).collect::<Result<_>>()?;
    nn::train::small::programs(&losses, &optimizers, activations)
}

fn products(tiles: &[crate::nn::ops::matmul::Tile]) -> Vec<(Variant, Layout, Epilogue)> {
    let mut all = Vec::new();
    for &tile in tiles {
        for vec4 in [false, true] {
            for layout in [Layout::NN, Layout::NT, Layout::TN] {
                for epilogue in
                    [Epilogue::Forward, Epilogue::InputGradient, Epilogue::WeightGradient]
                {
                    all.push((Variant { tile, vec4, split: false }, layout, epilogue));
                }
                all.push((Variant { tile, vec4, split: true }, layout, Epilogue::WeightGradient));
            }
        }
    }
    all
}
