//! Event files of TensorBoard, read by a decoder that shares no code with the writer.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use gradus::losses::CrossEntropy;
use gradus::optimizers::Adam;
use gradus::{Dense, Device, Error, Fit, Sequential, TensorBoard};
use ndarray::{Array1, Array2};

/// A field of a message.
#[derive(Debug)]
enum Field<'a> {
    Varint(u64),
    Eight([u8; 8]),
    Bytes(&'a [u8]),
    Four([u8; 4]),
}

/// An event: wall time, step, version and scalars.
#[derive(Debug, Default)]
struct Event {
    wall_time: f64,
    step: u64,
    version: Option<String>,
    scalars: Vec<(String, f32)>,
}

/// CRC-32C by polynomial division of the reflected message, most significant bit first.
fn checksum(bytes: &[u8]) -> u32 {
    let mut remainder = u32::MAX;
    for byte in bytes {
        for bit in 0..8 {
            let top = remainder >> 31 ^ u32::from(byte >> bit & 1);
            remainder <<= 1;
            if top == 1 {
                remainder ^= 0x1edc_6f41;
            }
        }
    }
    !remainder.reverse_bits()
}

fn unmasked(stored: &[u8]) -> u32 {
    let stored = u32::from_le_bytes(stored.try_into().unwrap());
    stored.wrapping_sub(0xa282_ead8).rotate_left(15)
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let mut take = |count: usize| {
            let (taken, rest) = bytes.split_at(count);
            bytes = rest;
            taken
        };
        let field = match key & 7 {
            1 => Field::Eight(take(8).try_into().unwrap()),
            5 => Field::Four(take(4).try_into().unwrap()),
            0 => Field::Varint(varint(&mut bytes)),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (taken, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(taken)
            }
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, field));
    }
    found
}

fn event(bytes: &[u8]) -> Event {
    let mut event = Event::default();
    for (number, field) in fields(bytes) {
        match (number, field) {
            (1, Field::Eight(time)) => event.wall_time = f64::from_le_bytes(time),
            (2, Field::Varint(step)) => event.step = step,
            (3, Field::Bytes(text)) => {
                event.version = Some(String::from_utf8(text.into()).unwrap())
            }
            (5, Field::Bytes(summary)) => event.scalars.extend(scalars(summary)),
            other => panic!("an event has {other:?}"),
        }
    }
    event
}

fn scalars(summary: &[u8]) -> Vec<(String, f32)> {
    let scalar = |(number, field): (u64, Field)| {
        let (1, Field::Bytes(value)) = (number, field) else { panic!("no value") };
        match &fields(value)[..] {
            [(1, Field::Bytes(tag)), (2, Field::Four(number))] => {
                (String::from_utf8(tag.to_vec()).unwrap(), f32::from_le_bytes(*number))
            }
            other => panic!("a value has {other:?}"),
        }
    };
    fields(summary).into_iter().map(scalar).collect()
}

/// The events of a file, whose checksums are right.
fn events(path: &Path) -> Vec<Event> {
    let bytes = std::fs::read(path).unwrap();
    let (mut rest, mut found) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        assert_eq!(unmasked(&rest[8..12]), checksum(&rest[..8]));
        let data = &rest[12..12 + length];
        assert_eq!(unmasked(&rest[12 + length..16 + length]), checksum(data));
        found.push(event(data));
        rest = &rest[16 + length..];
    }
    found
}

/// The steps and numbers of each tag.
fn by_tag(events: &[Event]) -> BTreeMap<String, Vec<(u64, f32)>> {
    let mut all = BTreeMap::<String, Vec<(u64, f32)>>::new();
    for event in events {
        for (tag, value) in &event.scalars {
            all.entry(tag.clone()).or_default().push((event.step, *value));
        }
    }
    all
}

#[test]
fn the_events_of_a_training_are_its_history() {
    assert_eq!(checksum(b"123456789"), 0xe306_9283);
    let folder = tempfile::tempdir().unwrap();
    let log = TensorBoard::new(folder.path().join("runs/first")).unwrap();
    let x = Array2::from_shape_fn((20, 3), |(row, column)| ((row * 7 + column) % 5) as f32);
    let y = Array1::from_shape_fn(20, |row| (row % 2) as i64);
    let mut model = Sequential::new(3)
        .then(Dense::new(2))
        .on(&Device::cpu())
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new())
        .unwrap();
    let (epochs, steps) = (log.clone(), log.clone());
    let fit = Fit::new()
        .epochs(3)
        .batch_size(5)
        .validation_split(0.25)
        .on_epoch(move |number, epoch| {
            epochs.epoch(number, epoch);
            ControlFlow::Continue(())
        })
        .on_step(move |epoch, step| {
            steps.step(epoch, step);
            ControlFlow::Continue(())
        });
    let history = model.fit(&x, &y, fit).unwrap();
    log.scalar("own/large", 1 << 40, 1e300).unwrap();
    log.close().unwrap();

    let name = log.path().file_name().unwrap().to_str().unwrap();
    let seconds = name.strip_prefix("events.out.tfevents.").unwrap().split('.').next().unwrap();
    assert!(seconds.parse::<u64>().unwrap() > 1_700_000_000, "{name}");
    let events = events(log.path());
    assert_eq!(events[0].version.as_deref(), Some("brain.Event:2"));
    assert!(events[1..].iter().all(|event| event.version.is_none()));
    assert!(events.windows(2).all(|pair| pair[0].wall_time <= pair[1].wall_time));
    assert!(events[0].wall_time as u64 >= seconds.parse::<u64>().unwrap());

    let found = by_tag(&events);
    let numbered = |values: &[f64]| -> Vec<(u64, f32)> {
        (1..).zip(values).map(|(step, value)| (step, *value as f32)).collect()
    };
    assert_eq!(found["batch/loss"], numbered(&history.steps));
    assert_eq!(history.steps.len(), 9);
    let of = |number: fn(&gradus::Epoch) -> f64| {
        numbered(&history.epochs.iter().map(number).collect::<Vec<_>>())
    };
    assert_eq!(found["epoch/loss"], of(|epoch| epoch.loss));
    assert_eq!(found["epoch/val_loss"], of(|epoch| epoch.val_loss.unwrap()));
    assert_eq!(found["epoch/val_accuracy"], of(|epoch| epoch.val_accuracy.unwrap()));
    assert_eq!(found["epoch/seconds"], of(|epoch| epoch.seconds));
    assert!(!found.contains_key("epoch/r2"), "a classifier has no R²");
    assert_eq!(found["own/large"], [(1 << 40, f32::INFINITY)]);
}

#[test]
fn each_log_has_a_file_and_a_folder_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = [0, 1].map(|_| TensorBoard::new(folder.path()).unwrap());
    assert_ne!(first.path(), second.path());
    let file = folder.path().join("file");
    std::fs::write(&file, "taken").unwrap();
    let error = TensorBoard::new(&file).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if *path == file), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "taken");
}

#[test]
fn the_steps_of_an_epoch_that_is_cut_are_numbered_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = TensorBoard::new(folder.path()).unwrap();
    let x = Array2::from_shape_fn((10, 3), |(row, column)| ((row * 7 + column) % 5) as f32);
    let y = Array1::from_shape_fn(10, |row| (row % 2) as i64);
    let model = Sequential::new(3).then(Dense::new(2)).on(&Device::cpu()).unwrap();
    let mut model = model.compile(CrossEntropy::new(), Adam::new()).unwrap();
    let steps = log.clone();
    // Five batches an epoch; the second ends after three of them.
    let fit = Fit::new().epochs(9).batch_size(2).steps(8).on_step(move |epoch, step| {
        assert_eq!(step.batches, 5);
        steps.step(epoch, step);
        ControlFlow::Continue(())
    });
    let history = model.fit(&x, &y, fit).unwrap();
    log.close().unwrap();
    let found = by_tag(&events(log.path()));
    let expected: Vec<(u64, f32)> =
        (1..).zip(&history.steps).map(|(step, loss)| (step, *loss as f32)).collect();
    assert_eq!(expected.len(), 8);
    assert_eq!(found["batch/loss"], expected);
}
