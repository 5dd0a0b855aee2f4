//! The command `gradus`: one file per subcommand, each a thin layer over the library.
//!
//! Results go to stdout, everything else to stderr. An error is one line on stderr; the exit code
//! is 2 for bad usage and 1 for a failure.

mod advise;
mod bench;
mod check;
mod demo;
mod devices;
mod eval;
mod evaluate;
mod explain;
mod export;
mod generate;
mod interrupt;
mod language;
mod lines;
mod log;
mod losses;
mod names;
mod numbers;
mod output;
#[allow(dead_code, reason = "a page takes the parts that it needs")]
mod page;
mod predict;
mod probabilities;
mod ranking;
mod ranks;
mod rates;
mod recommend;
mod samples;
mod saved;
mod scores;
mod strict_json;
mod train;
mod tune;
mod usage;

use std::process::ExitCode;
use std::rc::Rc;

use clap::{CommandFactory, Parser, Subcommand};

use crate::output::Outcome;
use crate::ranks::Ranks;

/// Loss functions with their gradients on any GPU, and the training of models on it.
#[derive(Parser)]
#[command(name = "gradus", version, arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the adapters, their limits and features, and the one that `auto` selects
    Devices(devices::Devices),
    /// Lists the losses, activations, optimizers and schedules, or shows one of them with its
    /// options
    Losses(losses::Losses),
    /// Answers cases in JSON: a loss with its inputs in, value and gradients out
    Eval(eval::Eval),
    /// Compares every kernel with the f64 reference on a device
    Check(check::Check),
    /// Measures losses, products, training steps and epochs, relative to the device's ceilings and
    /// to the CPU
    Bench(bench::Bench),
    /// Trains a network on a data set: dense, or of images, or of text
    Train(Box<train::options::Train>),
    /// Finds a learning rate for a network: trains it at many rates, and compares held-out losses
    Rates(Box<rates::Rates>),
    /// Names losses, an optimizer and a network for a data set, each with its reason
    Advise(advise::Advise),
    /// Searches for a loss, an optimizer, their options and a network
    Tune(Box<tune::Tune>),
    /// Measures a saved model on rows with targets
    Evaluate(evaluate::Evaluate),
    /// Shows where the loss of a saved model comes from: suspicious labels, rows, slices, classes,
    /// features
    Explain(explain::Explain),
    /// Writes a saved model in the formats of other programs: ONNX, PyTorch's weights
    Export(export::Export),
    /// Predicts the rows of a data set with a saved model
    Predict(predict::Predict),
    /// Writes text with a saved model of text, from a prompt on
    Generate(generate::Generate),
    /// Trains a recommender on a file of ratings and tests it on held-out ones, or queries a saved
    /// one
    Recommend(recommend::Recommend),
    /// Trains the example network on the shipped images, then measures the device
    Demo(demo::Demo),
}

fn main() -> ExitCode {
    output::begin_log();
    let outcome = match Cli::try_parse() {
        Ok(cli) => run(cli.command),
        Err(error) => usage::report(&error),
    };
    output::exit_code(outcome)
}

fn run(command: Option<Command>) -> Outcome {
    match command {
        None => usage::which_command(&Cli::command()),
        Some(Command::Devices(devices)) => devices.run(),
        Some(Command::Losses(losses)) => losses.run(),
        Some(Command::Eval(eval)) => eval.run(),
        Some(Command::Check(check)) => check.run(),
        Some(Command::Bench(bench)) => bench.run(),
        Some(Command::Train(mut train)) => {
            let ranks = Rc::new(Ranks::meet()?);
            let outcome = train.run_as(ranks.clone());
            ranks.end(outcome)
        }
        Some(Command::Rates(rates)) => rates.run(),
        Some(Command::Advise(advise)) => advise.run(),
        Some(Command::Tune(tune)) => tune.run(),
        Some(Command::Evaluate(evaluate)) => evaluate.run(),
        Some(Command::Explain(explain)) => explain.run(),
        Some(Command::Export(export)) => export.run(),
        Some(Command::Predict(predict)) => predict.run(),
        Some(Command::Generate(generate)) => generate.run(),
        Some(Command::Recommend(recommend)) => recommend.run(),
        Some(Command::Demo(demo)) => demo.run(),
    }
}
