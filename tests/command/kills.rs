//! Trainings killed at random moments (SIGKILL), repeatedly, leave files that load and resume to
//! the file of a training that was never killed.
//!
//! `GRADUS_KILLS=100 cargo test --release --test command kills -- --ignored --nocapture` sets the
//! number of kills, 100 by default.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use gradus::random::Random;
use gradus::{Device, Model, recommend};
use serde_json::Value;
use tempfile::TempDir;

use crate::{file, gradus, stderr, text};

const SEEDS: [u64; 4] = [7, 1, 20, 3];

const FORMATS: [&str; 4] = ["csv", "npy", "idx", "ratings"];

const ROWS: usize = 1200;

const WIDTH: usize = 16;

/// The same rows in three formats, bytes as features and two classes, and ratings for a
/// recommender.
fn data(folder: &TempDir) -> HashMap<&'static str, PathBuf> {
    let mut random = Random::new(2, 0);
    let pixels: Vec<u8> = (0..ROWS * WIDTH).map(|_| (256.0 * random.uniform()) as u8).collect();
    let noisy = |row: &[u8]| row.iter().map(|&x| usize::from(x)).sum::<usize>() > 128 * WIDTH;
    let labels: Vec<u8> =
        pixels.chunks(WIDTH).map(|row| u8::from(noisy(row) ^ (random.uniform() < 0.2))).collect();
    let lines = pixels.chunks(WIDTH).zip(&labels).map(|(row, label)| {
        row.iter().map(ToString::to_string).chain([label.to_string()]).collect::<Vec<_>>().join(",")
            + "\n"
    });
    let header: String = (0..WIDTH).map(|column| format!("x{column},")).collect();
    let csv = file(folder, "rows.csv", (header + "y\n" + &lines.collect::<String>()).as_bytes());
    let npy = file(folder, "x.npy", &npy("|u1", &format!("({ROWS}, {WIDTH})"), &pixels));
    file(folder, "y.npy", &self::npy("|u1", &format!("({ROWS},)"), &labels));
    let idx = folder.path().join("images");
    fs::create_dir(&idx).unwrap();
    for (name, sizes, bytes) in
        [("images-idx3", &[ROWS, 4, 4][..], &pixels), ("labels-idx1", &[ROWS], &labels)]
    {
        let mut whole = vec![0, 0, 8, sizes.len() as u8];
        whole.extend(sizes.iter().flat_map(|&size| (size as u32).to_be_bytes()));
        whole.extend(bytes);
        fs::write(idx.join(format!("train-{name}-ubyte")), whole).unwrap();
    }
    let ratings: String = (0..200_u32)
        .flat_map(|user| (0..40).map(move |place| (user, (place * 7 + user % 11 * 13) % 500)))
        .map(|(user, item)| format!("{user},{item},5\n"))
        .collect();
    let ratings =
        file(folder, "ratings.csv", ("user,item,rating\n".to_string() + &ratings).as_bytes());
    HashMap::from([("csv", csv), ("npy", npy), ("idx", idx), ("ratings", ratings)])
}

fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let header = format!("{header:<117}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), bytes]
        .concat()
}

/// The command that starts a training.
fn begin(
    data: &HashMap<&'static str, PathBuf>,
    format: &str,
    seed: u64,
    device: &str,
) -> Vec<String> {
    let path = text(&data[format]);
    let line = match format {
        "ratings" => "--epochs 30 --components 16 --batch-size 256 --loss warp".into(),
        // At this rate the validation loss has its minimum early, then rises.
        _ => format!(
            "{} --loss cross_entropy --hidden 64,32 --epochs 30 --batch-size 16 --patience 12 --schedule reduce_on_plateau \
             --schedule-set patience=2 --schedule-by-epoch --learning-rate 0.003 --average 0.98 --clip-norm 1 --validation 0.2",
            if format == "csv" { "--target y" } else { "" }
        ),
    };
    let command = if format == "ratings" {
        ["recommend", "--interactions", path]
    } else {
        ["train", "--data", path]
    };
    let more = format!("{line} --seed {seed} --device {device}");
    command.into_iter().chain(more.split_whitespace()).map(String::from).collect()
}

/// The command that resumes from a file.
fn resume(
    data: &HashMap<&'static str, PathBuf>,
    format: &str,
    out: &Path,
    device: &str,
) -> Vec<String> {
    let path = text(&data[format]);
    let command = if format == "ratings" {
        ["recommend", "--interactions", path]
    } else {
        ["train", "--data", path]
    };
    let target: &[&str] = if format == "csv" { &["--target", "y"] } else { &[] };
    let more = ["--resume", text(out), "--device", device];
    command.iter().chain(target).chain(&more).map(ToString::to_string).collect()
}

/// Number of completed epochs in a file, loaded as a user would; `None` if its training is over:
/// early stopping may have restored the weights of an earlier epoch, and the process was killed
/// before it ended.
fn epochs(format: &str, out: &Path) -> Option<u64> {
    if format == "ratings" {
        let model = recommend::Model::load(out, &Device::cpu()).unwrap();
        return Some(u64::from(model.epochs())).filter(|_| model.epochs_left() > 0);
    }
    let model = Model::load(out, &Device::cpu()).unwrap();
    assert!(model.fit_to_resume().is_some() && model.held_out().is_some());
    let bytes = fs::read(out).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let described: Value =
        serde_json::from_str(&metadata.metadata().as_ref().unwrap()["gradus"]).unwrap();
    let number = |name: &str| described["training"][name].as_u64().unwrap();
    Some(number("epochs")).filter(|&done| done < number("planned"))
}

/// The last epoch that a command reported as completed.
fn report(output: &Output) -> u64 {
    let number = |line: &str| line.strip_prefix("epoch ")?.split(' ').next()?.parse().ok();
    stderr(output).lines().rev().find_map(number).unwrap_or(0)
}

/// Starts a command and kills it after `behind`; `None` if it had ended before, else the last
/// reported epoch.
fn killed(arguments: &[String], out: &Path, behind: Duration) -> Option<u64> {
    let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    words.extend(["--out", text(out)]);
    let mut child = gradus(&words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let until = Instant::now() + behind;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            let output = child.wait_with_output().unwrap();
            assert!(status.success(), "{}", stderr(&output));
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    // It may have ended between the last check and the kill.
    (!output.status.success()).then(|| report(&output))
}

/// Performs the given number of kills on a device, cycling through formats and seeds.
fn kill(kills: usize, device: &str) {
    let folder = TempDir::new().unwrap();
    let data = data(&folder);
    let mut random = Random::new(kills as u64, 1);
    let mut unbroken: HashMap<(&str, u64), (Vec<u8>, Duration)> = HashMap::new();
    let (mut done, mut trainings, mut before_any, mut most_reported) = (0, 0, 0, 0);
    while done < kills {
        // All pairs of seed and format in 16 trainings.
        let (format, seed) = (FORMATS[trainings % 4], SEEDS[trainings / 4 % 4]);
        let (expected, time) = unbroken.entry((format, seed)).or_insert_with(|| {
            let (out, start) = (folder.path().join("whole"), Instant::now());
            assert!(
                killed(&begin(&data, format, seed, device), &out, Duration::from_secs(300))
                    .is_none()
            );
            (fs::read(&out).unwrap(), start.elapsed())
        });
        let out = folder.path().join(format!("{format}-{seed}"));
        let mut last = 0;
        loop {
            let is_there = out.exists();
            let arguments = if is_there {
                resume(&data, format, &out, device)
            } else {
                begin(&data, format, seed, device)
            };
            // The second time it may run to its end: a training is killed once or twice.
            let share = if last > 0 && random.uniform() < 0.5 { 100.0 } else { random.uniform() };
            let Some(report) = killed(&arguments, &out, time.mul_f64(share)) else { break };
            done += 1;
            most_reported = most_reported.max(report);
            if !out.exists() {
                assert_eq!(report, 0, "{format} {seed}: an epoch was over and nothing was saved");
                before_any += 1;
            } else if let Some(now) = epochs(format, &out) {
                assert!(now >= last, "{format} {seed}: a file went back from {last} to {now}");
                // An epoch is reported once it is saved: at most the one in progress is lost.
                assert!(
                    now >= report,
                    "{format} {seed}: epoch {report} was over and the file has {now}"
                );
                last = now;
            }
        }
        assert!(
            fs::read(&out).unwrap() == *expected,
            "{format}, seed {seed}: another file than an unbroken training's"
        );
        fs::remove_file(&out).unwrap();
        trainings += 1;
    }
    assert!(
        most_reported > 0,
        "no training was killed behind an epoch that it reported: nothing is shown of what is lost"
    );
    println!(
        "{done} kills in {trainings} trainings on {device}, {before_any} of them before the first epoch: all files equal"
    );
}

#[test]
fn a_killed_training_goes_on_to_the_file_of_an_unbroken_one() {
    kill(8, "cpu");
}

#[test]
#[ignore = "minutes: a hundred kills"]
fn a_hundred_killed_trainings_go_on_to_the_files_of_unbroken_ones() {
    let kills =
        std::env::var("GRADUS_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(100);
    let device = std::env::var("GRADUS_KILLS_DEVICE").unwrap_or_else(|_| "cpu".into());
    kill(kills, &device);
}
