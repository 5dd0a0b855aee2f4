//! Data-parallel training: threads as the processes, which sum in the order of their ranks. What they
//! train has the bits of one process that accumulates as many batches.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use gradus::activations::Tanh;
use gradus::layers::{BatchNorm, Dropout, TokenEmbedding};
use gradus::losses::{CrossEntropy, ListNet, Mse};
use gradus::optimizers::{Adam, AdamW, GradientDescent, Sgd};
use gradus::schedules::ReduceOnPlateau;
use gradus::{
    Average, Dense, Device, EarlyStopping, Error, Fit, Gpu, GpuOptions, History, Member, Model,
    Population, Reduce, Result, Sequential, Stop, Targets,
};
use ndarray::{Array1, Array2, array};

use crate::support::each_device;

/// Where the processes meet.
struct Room {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    parts: Vec<Option<Vec<f64>>>,
    /// Processes that have not taken the parts of this meeting yet.
    waiting: usize,
    is_closed: bool,
}

/// A process in the room.
struct Process {
    room: Arc<Room>,
    rank: usize,
    /// Meetings until it fails, if it does.
    left: Option<usize>,
}

impl Process {
    /// The numbers of all processes, by rank.
    fn meet(&mut self, own: Vec<f64>) -> Result<Vec<Vec<f64>>> {
        let failed = |what: &str| Err(Error::Exchange { message: what.into() });
        if let Some(left) = &mut self.left {
            *left = match left.checked_sub(1) {
                None => return failed("the line is cut"),
                Some(left) => left,
            };
        }
        let Room { state, changed } = &*self.room;
        let patience = Duration::from_secs(60);
        let state = state.lock().unwrap();
        // Also when another one is gone: the parts of the meeting before are there until all have taken
        // them, and were compared with those of this one.
        let is_early = |state: &mut State| state.waiting > 0;
        let (mut state, _) = changed.wait_timeout_while(state, patience, is_early).unwrap();
        if let Some(other) = state.parts.iter().flatten().next()
            && other.len() != own.len()
        {
            return failed("the processes exchange other numbers");
        }
        state.parts[self.rank] = Some(own);
        if state.parts.iter().all(Option::is_some) {
            state.waiting = state.parts.len();
            changed.notify_all();
        }
        let is_alone = |state: &mut State| state.waiting == 0 && !state.is_closed;
        let (mut state, time) = changed.wait_timeout_while(state, patience, is_alone).unwrap();
        if state.waiting == 0 || time.timed_out() {
            return failed("another process is gone");
        }
        let all = state.parts.iter().flatten().cloned().collect();
        state.waiting -= 1;
        if state.waiting == 0 {
            state.parts.fill(None);
            changed.notify_all();
        }
        Ok(all)
    }
}

impl Reduce for Process {
    fn reduce(&mut self, numbers: &mut [f32]) -> Result<()> {
        let all = self.meet(numbers.iter().map(|&number| number.into()).collect())?;
        for (place, number) in numbers.iter_mut().enumerate() {
            *number = all[1..].iter().fold(all[0][place] as f32, |sum, of| sum + of[place] as f32);
        }
        Ok(())
    }

    fn reduce_f64(&mut self, numbers: &mut [f64]) -> Result<()> {
        let all = self.meet(numbers.to_vec())?;
        for (place, number) in numbers.iter_mut().enumerate() {
            *number = all[1..].iter().fold(all[0][place], |sum, of| sum + of[place]);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.room.state.lock().unwrap().is_closed = true;
        self.room.changed.notify_all();
    }
}

/// Runs as many processes; the results by rank.
fn processes<T: Send>(world: usize, run: impl Fn(usize, Process) -> T + Sync) -> Vec<T> {
    let state = State { parts: vec![None; world], waiting: 0, is_closed: false };
    let room = Arc::new(Room { state: Mutex::new(state), changed: Condvar::new() });
    thread::scope(|scope| {
        let start = |rank: usize| {
            let (process, run) = (Process { room: room.clone(), rank, left: None }, &run);
            scope.spawn(move || run(rank, process))
        };
        let started: Vec<_> = (0..world).map(start).collect();
        started.into_iter().map(|process| process.join().unwrap()).collect()
    })
}

/// 86 rows to train on and 9 to validate: batches of 4 are 22, of which the last has 2 rows, and no
/// number of processes divides them.
fn rows() -> (Array2<f32>, Array1<i64>) {
    let x =
        Array2::from_shape_fn((95, 4), |(row, at)| ((row * 7 + at * 5) % 13) as f32 / 6.0 - 1.0);
    (x, (0..95).map(|row| (row * row % 3) as i64).collect())
}

fn network() -> Sequential {
    Sequential::new(4)
        .then(Dense::new(6).activation(Tanh))
        .then(Dropout::new(0.2))
        .then(Dense::new(3))
        .seed(2)
        .l2(1e-3)
}

fn ready(device: &Device) -> Model {
    let adam = AdamW::new().learning_rate(0.02);
    network().on(device).unwrap().compile(CrossEntropy::new(), adam).unwrap()
}

/// All that an update may do, and decisions by what is measured.
fn options() -> Fit {
    Fit::new()
        .epochs(4)
        .batch_size(4)
        .validation_split(0.1)
        .clip_norm(0.5)
        .average(Average::new(0.9))
        .early_stopping(EarlyStopping::new().patience(1).min_delta(0.05))
        .schedule_by_epoch(ReduceOnPlateau::new().learning_rate(0.02).patience(0_u32))
}

/// What does not depend on the clock.
fn numbers(mut history: History) -> History {
    history.epochs.iter_mut().for_each(|epoch| epoch.seconds = 0.0);
    history
}

fn flat(model: &Model) -> Vec<f64> {
    let named = model.named_parameters().unwrap();
    named.iter().flat_map(|(_, values)| values.iter().copied()).collect()
}

#[test]
fn processes_have_the_bits_of_one_that_accumulates() {
    let (x, y) = rows();
    for device in each_device() {
        for world in [1, 2, 3, 4] {
            let mut one = ready(&device);
            let expected = one.fit(&x, &y, options().accumulate(world)).unwrap();
            assert_eq!(expected.steps.len() % 22_usize.div_ceil(world), 0);
            let found = processes(world, |rank, process| {
                let mut model = ready(&device);
                let fit = options().reduce(process).shard(rank, world);
                let history = model.fit(&x, &y, fit).unwrap();
                (model, numbers(history))
            });
            let name = device.name();
            for (rank, (model, history)) in found.iter().enumerate() {
                assert_eq!(flat(model), flat(&found[0].0), "{name}, {rank} of {world}");
                assert_eq!(*history, found[0].1, "{name}, {rank} of {world}");
            }
            if name == "gpu" {
                // A GPU adds a batch to those before it as it goes: other roundings.
                continue;
            }
            let (model, history) = &found[0];
            let expected = numbers(expected);
            assert_eq!(*history, expected, "{name}, {world}");
            assert_eq!(model.to_bytes().unwrap(), one.to_bytes().unwrap(), "{name}, {world}");
        }
    }
}

#[test]
fn processes_agree_with_one_whose_batch_is_theirs_together() {
    let (x, y) = rows();
    for device in each_device() {
        let sgd = || Sgd::new().learning_rate(0.05);
        // Without dropout, whose numbers belong to a batch.
        let layers =
            || Sequential::new(4).then(Dense::new(6).activation(Tanh)).then(Dense::new(3)).seed(2);
        let model = || layers().on(&device).unwrap().compile(CrossEntropy::new(), sgd()).unwrap();
        let mut one = model();
        let expected = one.fit(&x, &y, Fit::new().epochs(2).batch_size(12)).unwrap();
        let found = processes(3, |rank, process| {
            let mut model = model();
            let fit = Fit::new().epochs(2).batch_size(4).reduce(process).shard(rank, 3);
            let history = model.fit(&x, &y, fit).unwrap();
            (flat(&model), history)
        });
        // 16 updates of rate 0.05 by gradients below 1, each the sum of 12 rows in another order: up
        // to 12 roundings of 2^-24, or 2^-53, each, and the growth of such a difference by further
        // updates is below e.
        let roundings = 16.0 * 0.05 * 12.0 * 2.72;
        let unit = if device.name() == "reference" { 2.0_f64.powi(-53) } else { 2.0_f64.powi(-24) };
        for (found, expected) in found[0].0.iter().zip(flat(&one)) {
            assert!((found - expected).abs() < roundings * unit, "{}", device.name());
        }
        assert_eq!(found[0].1.steps.len(), expected.steps.len());
    }
}

#[test]
fn running_statistics_are_the_mean_over_the_processes() {
    let x = Array2::from_shape_fn((16, 2), |(row, at)| (row * (at + 1)) as f32);
    let y = Array2::<f32>::zeros((16, 1));
    for device in each_device() {
        let model = || {
            let layers = Sequential::new(2).then(BatchNorm::new()).then(Dense::new(1)).seed(4);
            layers.on(&device).unwrap().compile(Mse::new(), Sgd::new()).unwrap()
        };
        let fit = || Fit::new().batch_size(8).shuffle(false);
        let found = processes(2, |rank, process| {
            let mut model = model();
            model.fit(&x, &y, fit().reduce(process).shard(rank, 2)).unwrap();
            (flat(&model), model.predict(&x).unwrap())
        });
        assert_eq!(found[0], found[1], "{}", device.name());
        let mut one = model();
        one.fit(&x, &y, fit().accumulate(2)).unwrap();
        if device.name() != "gpu" {
            assert_eq!(found[0].0, flat(&one), "{}", device.name());
        }
        // One process moves them by both batches: .1 of the second mean and .09 of the first.
        assert_ne!(found[0].1, one.predict(&x).unwrap(), "{}", device.name());
    }
}

#[test]
fn a_callback_of_one_process_ends_all_and_others_go_on() {
    let (x, y) = rows();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for device in [Device::cpu(), Device::reference()] {
        let fit = || Fit::new().batch_size(4).epochs(3).validation_split(0.1);
        let mut through = ready(&device);
        let expected = through.fit(&x, &y, fit().accumulate(4)).unwrap();
        let stopped = processes(4, |rank, process| {
            let mut model = ready(&device);
            let mut fit = fit().reduce(process).shard(rank, 4).checkpoint(&path);
            if rank == 2 {
                let cut = |epoch: usize, step: &gradus::StepReport| match (epoch, step.batch) {
                    (2, 12) => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                };
                fit = fit.on_step(cut);
            }
            let history = model.fit(&x, &y, fit).unwrap();
            (history.stopped, model.steps())
        });
        // It asks behind the third update; all hear of it with the fourth.
        let asked = Some(Stop::Asked { epochs: 1, batches: 16, of: 22 });
        assert!(stopped.iter().all(|found| *found == (asked.clone(), 10)), "{stopped:?}");
        // Two processes of two batches each take over, then one alone.
        let two = processes(2, |rank, process| {
            let mut model = Model::load(&path, &device).unwrap();
            let fit = model.fit_to_resume().unwrap().epochs(1);
            model.fit(&x, &y, fit.validation_split(0.1).reduce(process).shard(rank, 2)).unwrap();
            model
        });
        let mut last = Model::from_bytes(&two[0].to_bytes().unwrap(), &device).unwrap();
        let fit = last.fit_to_resume().unwrap().epochs(1).validation_split(0.1);
        let history = last.fit(&x, &y, fit).unwrap();
        assert_eq!(history.epochs.len(), 3);
        // Two batches of a process are added up before those of the other.
        let loss = |history: &History| history.epochs[2].val_loss.unwrap();
        assert!((loss(&history) - loss(&expected)).abs() < 1e-4 * loss(&expected));
        // As many processes as before: the bits of the training that was not cut.
        let four = processes(4, |rank, process| {
            let mut model = Model::load(&path, &device).unwrap();
            let fit = model.fit_to_resume().unwrap();
            model.fit(&x, &y, fit.validation_split(0.1).reduce(process).shard(rank, 4)).unwrap();
            flat(&model)
        });
        assert!(four.iter().all(|found| *found == flat(&through)));
    }
}

#[test]
fn an_error_of_the_function_ends_the_training_and_keeps_the_checkpoint() {
    let (x, y) = rows();
    let folder = tempfile::tempdir().unwrap();
    for device in each_device() {
        let path = folder.path().join("model.safetensors");
        let mut calls = 0;
        let fails = move |_: &mut [f32]| {
            calls += 1;
            match calls {
                40 => Err(Error::Exchange { message: "the line is cut".into() }),
                _ => Ok(()),
            }
        };
        let fit = || Fit::new().batch_size(4).epochs(3);
        let mut model = ready(&device);
        let error = model.fit(&x, &y, fit().reduce(fails).checkpoint(&path)).unwrap_err();
        assert!(error.to_string().contains("the line is cut; training can go on"), "{error}");
        let mut loaded = Model::load(&path, &device).unwrap();
        assert_eq!((loaded.steps(), model.steps()), (24, 24), "{}", device.name());
        assert_eq!(flat(&loaded), flat(&model), "{}", device.name());
        // Both go on, with the bits of a training that was not interrupted.
        let mut through = ready(&device);
        let nothing = |_: &mut [f32]| Ok(());
        through.fit(&x, &y, fit().reduce(nothing)).unwrap();
        let rest = loaded.fit_to_resume().unwrap();
        loaded.fit(&x, &y, rest.reduce(nothing)).unwrap();
        model.fit(&x, &y, fit().epochs(2).reduce(nothing)).unwrap();
        assert_eq!(flat(&loaded), flat(&through), "{}", device.name());
        assert_eq!(flat(&model), flat(&through), "{}", device.name());
    }
}

#[test]
fn a_process_that_is_gone_ends_the_others_with_an_error() {
    let (x, y) = rows();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let found = processes(3, |rank, mut process| {
        process.left = (rank == 1).then_some(30);
        let mut model = ready(&Device::cpu());
        let fit = Fit::new().batch_size(4).epochs(9).reduce(process).shard(rank, 3);
        model.fit(&x, &y, fit.checkpoint(&path)).map(drop)
    });
    for (rank, found) in found.into_iter().enumerate() {
        let message = found.unwrap_err().to_string();
        let expected = if rank == 1 { "the line is cut" } else { "another process is gone" };
        assert!(message.contains(expected), "{rank}: {message}");
    }
    // Eight updates, and what an epoch exchanges besides.
    let saved = Model::load(&path, &Device::cpu()).unwrap();
    assert_eq!(saved.steps() % 8, 0);
    assert!(saved.steps() > 0);
}

#[test]
fn an_error_of_one_process_is_an_error_of_all() {
    let (x, y) = rows();
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let path = inner.join("model.safetensors");
    let found = processes(3, |rank, process| {
        let mut model = ready(&Device::cpu());
        let mut fit = Fit::new().batch_size(4).epochs(9).reduce(process).shard(rank, 3);
        if rank == 0 {
            let inner = inner.clone();
            // The second epoch cannot be saved.
            fit = fit.checkpoint(&path).on_epoch(move |_, _| {
                std::fs::remove_dir_all(&inner).unwrap();
                ControlFlow::Continue(())
            });
        }
        model.fit(&x, &y, fit).map(drop)
    });
    for (rank, found) in found.into_iter().enumerate() {
        let error = found.unwrap_err();
        match rank {
            0 => assert!(matches!(error, Error::Io { .. }), "{error}"),
            _ => assert!(error.to_string().contains("another process has failed"), "{error}"),
        }
    }
}

/// What two processes end with, of which the second has an error of its own.
fn one_fails(train: impl Fn(usize, Fit) -> Result<History> + Sync) -> Error {
    let mut found = processes(2, |rank, process| {
        let fit = Fit::new().batch_size(4).epochs(3).reduce(process).shard(rank, 2);
        train(rank, fit).map(drop).unwrap_err()
    });
    let message = found[0].to_string();
    assert!(message.contains("another process has failed"), "{message}");
    found.remove(1)
}

#[test]
fn an_error_before_the_first_update_is_an_error_of_all() {
    let (x, y) = rows();
    let train = |fit: Fit| ready(&Device::cpu()).fit(&x, &y, fit);
    let error = one_fails(|rank, fit| train(if rank == 1 { fit.batch_size(0) } else { fit }));
    assert!(error.to_string().contains("batch_size"), "{error}");
    let error = one_fails(|rank, fit| {
        let mut y = y.clone();
        y[7] = if rank == 1 { 3 } else { y[7] };
        ready(&Device::cpu()).fit(&x, &y, fit)
    });
    assert!(!error.to_string().contains("another process"), "{error}");
    // The first process alone has a file.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("model.safetensors");
    let found = processes(2, |rank, process| {
        let fit = Fit::new().batch_size(4).reduce(process).shard(rank, 2).checkpoint(&path);
        train(fit).map(drop).unwrap_err()
    });
    assert!(matches!(found[0], Error::Io { .. }), "{}", found[0]);
    assert!(found[1].to_string().contains("another process has failed"), "{}", found[1]);
}

#[test]
fn an_error_in_the_rows_of_an_epoch_is_an_error_of_all() {
    let x = Array2::from_shape_fn((16, 3), |(row, at)| ((row + at) % 5) as f32);
    let y = Array2::from_shape_fn((16, 3), |(row, at)| ((row + at + 1) % 5) as i64);
    for fails in [0, 1] {
        let error = one_fails(|rank, fit| {
            let rows = |epoch: u32| match (rank, epoch) {
                (1, epoch) if epoch == fails => {
                    Err(Error::Exchange { message: "no rows today".into() })
                }
                _ => Ok((x.clone(), y.clone())),
            };
            let layers = Sequential::tokens(3).then(TokenEmbedding::new(5, 4)).then(Dense::new(5));
            let model = layers.on(&Device::cpu()).unwrap();
            model.compile(CrossEntropy::new(), Adam::new()).unwrap().fit_epochs(rows, fit)
        });
        assert!(error.to_string().contains("no rows today"), "{fails}: {error}");
    }
}

/// Loses its GPU in an exchange.
struct Losing {
    process: Process,
    gpu: Gpu,
    left: usize,
    /// Before the exchange, or behind it.
    is_before: bool,
}

impl Losing {
    fn met(&mut self, is_before: bool) {
        if self.is_before == is_before {
            self.left = self.left.wrapping_sub(1);
            if self.left == 0 {
                self.gpu.destroy();
            }
        }
    }
}

impl Reduce for Losing {
    fn reduce(&mut self, numbers: &mut [f32]) -> Result<()> {
        self.met(true);
        self.process.reduce(numbers)?;
        self.met(false);
        Ok(())
    }

    fn reduce_f64(&mut self, numbers: &mut [f64]) -> Result<()> {
        self.met(true);
        self.process.reduce_f64(numbers)?;
        self.met(false);
        Ok(())
    }
}

#[test]
fn a_gpu_that_is_lost_in_one_process_is_an_error_of_all() {
    if !each_device().iter().any(|device| device.name() == "gpu") {
        return;
    }
    let (x, y) = rows();
    // In the exchanges before the first update, in updates, and in those at the end of an epoch.
    for left in [2, 5, 16, 20] {
        for is_before in [true, false] {
            let found = processes(2, |rank, process| {
                let fit = Fit::new().batch_size(4).epochs(3).shard(rank, 2);
                if rank == 0 {
                    return ready(&Device::cpu()).fit(&x, &y, fit.reduce(process)).map(drop);
                }
                let gpu = Gpu::open_with(GpuOptions::default()).unwrap();
                let mut model = ready(&Device::Gpu(gpu.clone()));
                let losing = Losing { process, gpu, left, is_before };
                model.fit(&x, &y, fit.reduce(losing)).map(drop)
            });
            let message = |rank: usize| found[rank].as_ref().unwrap_err().to_string();
            assert!(message(0).contains("another process has failed"), "{left}: {}", message(0));
            assert!(!message(1).contains("another process"), "{left}: {}", message(1));
        }
    }
}

#[test]
fn the_function_has_the_gradient_of_all_batches_in_the_order_of_the_parameters() {
    let (x, y) = rows();
    for device in each_device() {
        // Without dropout the batches of `fit` and of `gradients` are the same.
        let layers = Sequential::new(4).then(Dense::new(6)).then(Dense::new(3)).seed(2);
        let mut model = layers.on(&device).unwrap().compile(Mse::new(), Sgd::new()).unwrap();
        let y = Array2::from_shape_fn((95, 3), |(row, at)| (y[row] as usize == at) as u8 as f32);
        let (_, named) = model.gradients(&x, &y).unwrap();
        let expected: Vec<f64> =
            named.iter().flat_map(|(_, values)| values.iter().copied()).collect();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let keep = seen.clone();
        let look = move |gradient: &mut [f32]| {
            keep.lock().unwrap().push(gradient.to_vec());
            gradient.fill(0.0);
            Ok(())
        };
        let before = flat(&model);
        model.fit(&x, &y, Fit::new().batch_size(19).accumulate(5).reduce(look)).unwrap();
        assert_eq!(flat(&model), before, "{}", device.name());
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 1);
        // 24 weights, 6 biases, two numbers of padding, 18 weights, 3 biases.
        let named: Vec<f32> = seen[0][..30].iter().chain(&seen[0][32..53]).copied().collect();
        assert_eq!(named.len(), expected.len());
        for (found, expected) in named.iter().zip(&expected) {
            // A mean of 95 · 3 squares below 16: sums of 285 terms in f32.
            assert!((f64::from(*found) - expected).abs() < 285.0 * 2.0_f64.powi(-24) * 8.0);
        }
    }
}

#[test]
fn processes_that_begin_with_something_else_are_refused() {
    let (x, y) = rows();
    let trained = |process: Process, rank: usize, other: &str| {
        let is_other = rank == 1;
        let device =
            if is_other && other == "precision" { Device::reference() } else { Device::cpu() };
        let seed = if is_other && other == "seed" { 3 } else { 2 };
        let mut model = network().seed(seed).on(&device).unwrap();
        model = model.compile(CrossEntropy::new(), Adam::new()).unwrap();
        let mut fit = Fit::new().batch_size(4).reduce(process);
        fit = match other {
            "rank" => fit.shard(0, 2),
            _ => fit.shard(rank, 2),
        };
        if is_other && other == "set of options" {
            fit = fit.batch_size(8);
        }
        let mut x = x.clone();
        if is_other && other == "data set" {
            x[[0, 0]] += 1.0;
        }
        model.fit(&x, &y, fit).unwrap_err().to_string()
    };
    for other in ["precision", "seed", "set of options", "data set"] {
        let found = processes(2, |rank, process| trained(process, rank, other));
        let expected = format!("rank 1 has another {other} than rank 0");
        assert!(found.iter().all(|found| found.contains(&expected)), "{found:?}");
    }
    let found = processes(2, |rank, process| trained(process, rank, "rank"));
    assert!(found.iter().all(|found| found.contains("2 processes answer as rank 0")), "{found:?}");
}

#[test]
fn devices_of_two_kinds_end_with_the_same_weights() {
    let (x, y) = rows();
    for gpu in each_device().into_iter().filter(|device| device.name() == "gpu") {
        let found = processes(2, |rank, process| {
            let device = if rank == 0 { Device::cpu() } else { gpu.clone() };
            let mut model = ready(&device);
            let history = model.fit(&x, &y, options().reduce(process).shard(rank, 2)).unwrap();
            (flat(&model), numbers(history).epochs)
        });
        assert_eq!(found[0].0, found[1].0);
        assert_eq!(found[0].1.len(), found[1].1.len());
        for (cpu, gpu) in found[0].1.iter().zip(&found[1].1) {
            assert_eq!(
                (cpu.loss, cpu.val_loss, cpu.accuracy),
                (gpu.loss, gpu.val_loss, gpu.accuracy)
            );
        }
    }
}

#[test]
fn what_cannot_be_divided_is_refused() {
    let (x, mut y) = rows();
    let nothing = |_: &mut [f32]| Ok(());
    let refused =
        |fit: Fit, y: &Array1<i64>| ready(&Device::cpu()).fit(&x, y, fit).unwrap_err().to_string();
    let message = refused(Fit::new().shard(0, 2), &y);
    assert!(message.contains("given with reduce"), "{message}");
    let message = refused(Fit::new().shard(2, 2).reduce(nothing), &y);
    assert!(message.contains("rank 2 of 2"), "{message}");
    y[3] = -100;
    let message = refused(Fit::new().shard(0, 2).reduce(nothing), &y);
    assert!(message.contains("shard") && message.contains("ignored"), "{message}");

    let mut lists = Sequential::new(4)
        .then(Dense::new(1))
        .on(&Device::cpu())
        .unwrap()
        .compile(ListNet::new(), Adam::new())
        .unwrap();
    let relevance = Array1::from_elem(95, 1.0_f32);
    let targets = Targets::grouped(&relevance, &[50, 45]);
    let error = lists.fit(&x, targets, Fit::new().shard(0, 2).reduce(nothing)).unwrap_err();
    assert!(error.to_string().contains("the rows are lists"), "{error}");

    let mut ids = Sequential::of_ids(1, [5, 2])
        .then(Dense::new(1))
        .on(&Device::cpu())
        .unwrap()
        .compile(Mse::new(), Sgd::new())
        .unwrap();
    let error = ids.fit(&array![[1.0]], &array![[1.0]], Fit::new().reduce(nothing)).unwrap_err();
    assert!(error.to_string().contains("reduce") && error.to_string().contains("embedding"));

    let mut several = Population::new(network(), [Member::new()], &Device::cpu())
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new())
        .unwrap();
    let error = several.fit(&x, &y, Fit::new().reduce(nothing)).unwrap_err();
    assert!(error.to_string().contains("reduce"), "{error}");
}

#[test]
fn all_rows_at_once_are_divided_too() {
    let (x, y) = rows();
    for device in [Device::cpu(), Device::reference()] {
        let model = || {
            let layers = Sequential::new(4).then(Dense::new(3)).seed(2);
            let descent = GradientDescent::new().learning_rate(0.5);
            layers.on(&device).unwrap().compile(CrossEntropy::new(), descent).unwrap()
        };
        let mut one = model();
        let expected = one.fit(&x, &y, Fit::new().epochs(3).batch_size(10)).unwrap();
        let found = processes(2, |rank, process| {
            let mut model = model();
            let fit = Fit::new().epochs(3).batch_size(10).reduce(process).shard(rank, 2);
            let history = model.fit(&x, &y, fit).unwrap();
            (flat(&model), history.epochs[2].loss, model.steps())
        });
        assert_eq!(found[0], found[1]);
        assert_eq!((found[0].2, one.steps()), (3, 3));
        // Ten sums in another order, below 1.
        let unit = if device.name() == "reference" { 2.0_f64.powi(-53) } else { 2.0_f64.powi(-24) };
        assert!((found[0].1 - expected.epochs[2].loss).abs() < 100.0 * unit, "{}", device.name());
    }
}
