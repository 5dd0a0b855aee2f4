//! `mpirun -n N gradus train`: `cargo test --release --features mpi --test mpi`, with Open MPI or MPICH.
//! Ignored without `mpirun`.
#![cfg(feature = "mpi")]

#[path = "support/ignored.rs"]
mod ignored;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use gradus::{Device, Model};

const DIGITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits/digits.csv.gz");
const GRADUS: &str = env!("CARGO_BIN_EXE_gradus");

/// Time for processes to end that are to end by themselves.
const PATIENCE: Duration = Duration::from_secs(60);

/// False, with a line that the running test is ignored, if there is no `mpirun`.
fn has_mpirun() -> bool {
    let found = Command::new("mpirun").arg("--version").output();
    if let Err(error) = &found {
        eprintln!("ignored: {} needs mpirun: {error}", ignored::running());
    }
    found.is_ok()
}

/// `mpirun`, as root and with more processes than cores, which Open MPI has to be asked for.
fn mpirun() -> Command {
    let mut command = Command::new("mpirun");
    command
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("OMPI_MCA_rmaps_base_oversubscribe", "1")
        .env("OMPI_MCA_mpi_yield_when_idle", "1")
        .env("RAYON_NUM_THREADS", "1")
        .stdin(Stdio::null());
    command
}

/// `train` on the digits, on a device, into a file.
fn train(device: &str, out: &Path) -> Vec<String> {
    let arguments = [
        "train",
        "--data",
        DIGITS,
        "--target",
        "64",
        "--loss",
        "cross_entropy",
        "--hidden",
        "16",
        "--batch-size",
        "16",
        "--clip-norm",
        "1",
        "--device",
        device,
        "--out",
    ];
    arguments.iter().map(ToString::to_string).chain([out.display().to_string()]).collect()
}

fn in_words(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{}\n{out}\n{err}", output.status)
}

/// What a process prints until it ends; it is killed if it does not.
fn ended(mut process: Child) -> Output {
    let begun = Instant::now();
    while process.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            process.kill().unwrap();
            panic!("it did not end: {}", in_words(&process.wait_with_output().unwrap()));
        }
        thread::sleep(Duration::from_millis(50));
    }
    process.wait_with_output().unwrap()
}

#[test]
fn processes_save_the_file_of_one_that_accumulates() {
    if !has_mpirun() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [one, many] = ["one", "many"].map(|name| folder.path().join(name));
    for device in ["cpu", "reference"] {
        for processes in ["2", "4"] {
            let alone = Command::new(GRADUS)
                .args(train(device, &one))
                .args(["--epochs", "2", "--accumulate", processes])
                .output()
                .unwrap();
            assert!(alone.status.success(), "{}", in_words(&alone));
            let together = mpirun()
                .args(["-n", processes, GRADUS])
                .args(train(device, &many))
                .args(["--epochs", "2"])
                .output()
                .unwrap();
            assert!(together.status.success(), "{}", in_words(&together));
            assert_eq!(fs::read(&one).unwrap(), fs::read(&many).unwrap(), "{device}, {processes}");
            // The first process alone prints.
            let text = String::from_utf8(together.stdout).unwrap();
            assert_eq!(text.matches("rows to train on").count(), 1, "{text}");
            assert!(text.contains(&format!("in each of {processes} processes")), "{text}");
        }
    }
}

#[test]
fn an_error_of_one_process_ends_all() {
    if !has_mpirun() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let mut command = mpirun();
    command.args(["-n", "1", GRADUS]).args(train("cpu", &out)).arg(":");
    let without = train("cpu", &out).into_iter().map(|word| word.replace(DIGITS, "missing.csv"));
    command.args(["-n", "1", GRADUS]).args(without);
    let output = ended(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let text = in_words(&output);
    assert!(!output.status.success() && text.contains("error: rank 1: --data"), "{text}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_killed_process_ends_all_and_the_checkpoint_goes_on() {
    if !has_mpirun() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let mut command = mpirun();
    command.args(["-n", "2", GRADUS]).args(train("cpu", &out)).args(["--epochs", "100000"]);
    let process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !out.exists() {
        assert!(begun.elapsed() < PATIENCE, "no epoch was saved");
        thread::sleep(Duration::from_millis(20));
    }
    let killed = Command::new("kill").args(["-9", &second_process(&out)]).status().unwrap();
    assert!(killed.success());
    let output = ended(process);
    assert!(!output.status.success(), "{}", in_words(&output));
    // The last epoch is whole, and one process goes on with it.
    let saved = Model::load(&out, &Device::cpu()).unwrap();
    assert!(!saved.history().is_empty());
    let resumed = Command::new(GRADUS)
        .args(["train", "--data", DIGITS, "--target", "64", "--epochs", "1", "--resume"])
        .args([&out, Path::new("--out"), &out])
        .output()
        .unwrap();
    assert!(resumed.status.success(), "{}", in_words(&resumed));
    let text = String::from_utf8(resumed.stdout).unwrap();
    assert!(text.contains("2 batches per update"), "{text}");
    assert!(Model::load(&out, &Device::cpu()).unwrap().history().len() > saved.history().len());
}

/// The number of the process of rank 1 that writes to this file.
#[cfg(target_os = "linux")]
fn second_process(out: &Path) -> String {
    let has = |pid: &str, file: &str, texts: &[&str]| {
        let content = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let words: Vec<String> = content
            .split(|&byte| byte == 0)
            .map(|word| String::from_utf8_lossy(word).into())
            .collect();
        texts.iter().any(|text| words.iter().any(|word| word == text))
    };
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().into_string().ok());
    let is_second = |pid: &String| {
        has(pid, "cmdline", &[&out.display().to_string()])
            && has(pid, "environ", &["OMPI_COMM_WORLD_RANK=1", "PMI_RANK=1"])
    };
    pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
        .find(is_second)
        .expect("the second process runs")
}

#[test]
fn devices_of_two_kinds_train_together() {
    if !has_mpirun() {
        return;
    }
    if let Err(error) = Device::gpu() {
        ignored::ignored(&ignored::running(), &format!("needs a GPU: {error}"));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let mut command = mpirun();
    for (place, device) in ["cpu", "gpu"].into_iter().enumerate() {
        command.args(if place == 0 { &[][..] } else { &[":"] });
        command.args(["-n", "1", GRADUS]).args(train(device, &out)).args(["--epochs", "3"]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", in_words(&output));
    let saved = Model::load(&out, &Device::cpu()).unwrap();
    let last = saved.history().last().unwrap();
    // One of ten classes by chance.
    assert!(last.val_accuracy.unwrap() > 0.5, "{last:?}");
}
