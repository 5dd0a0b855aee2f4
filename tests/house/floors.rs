//! The floors of the house: a module uses only modules on floors below its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors, lowest first. A folder is one module, unless parts of it stand on a floor of their own.
const FLOORS: &[&[&str]] = &[
    &["text"],
    &["error"],
    &["real", "random", "wgsl", "files"],
    &["catalogue", "host", "data", "cache"],
    &["device", "metrics"],
    &["tensor", "kernel"],
    &["losses", "activations", "optimizers", "schedules"],
    &["inputs", "kernels"],
    &["criterion", "layers", "embedding"],
    &["plan", "train/weights"],
    // What runs a step on a device knows layers, not models.
    &["train/engine", "train/average", "train/pace", "train/callback", "train/history"],
    &["train/options"],
    &["train/training"],
    &["templates/small_model/whole", "train/crowd"],
    &["train/gpu", "train/host", "train/samples"],
    &["model"],
    &["train", "recommend"],
    &["population"],
    &["cases", "bench"],
    &["testing"],
    &["bin"],
];

/// What breaks the rule, with the reason why it stands.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("device", "kernel", "the pipelines made on a device are kept with it: a type in its map, never called"),
    ("losses", "criterion", "the door `Loss::on`, which every user walks through"),
    ("host/pointwise", "losses", "the frame is written over the trait of what fills it"),
    ("host/answers", "losses", "the frame runs the loss of the log-probabilities, and the cross-entropy of the tokens"),
    ("host/linear", "losses", "the frame runs the loss that the layer is fused with"),
    ("host/pairs", "losses", "the frame is written over the trait of what fills it"),
    ("host/sequence", "losses", "the frame is written over the trait of what fills it"),
    ("host/similarity", "losses", "the frame is written over the trait of what fills it"),
    ("host/vectors", "losses", "the frame is written over the trait of what fills it"),
    ("host/quads", "losses", "the frame is written over the trait of what fills it"),
    ("host/rowwise", "losses", "the frame is written over the trait of what fills it"),
];

/// The entry of the table that a module belongs to, and its floor.
fn place(module: &str) -> Option<(&'static str, usize)> {
    let mut parts = module.split('/');
    let folder = parts.next()?;
    let part = format!("{folder}/{}", parts.next().unwrap_or_default());
    let find = |wanted: &str| {
        FLOORS
            .iter()
            .enumerate()
            .find_map(|(number, floor)| floor.iter().find(|entry| **entry == wanted).map(|entry| (*entry, number)))
    };
    find(&part).or_else(|| find(folder))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
}

/// `host/pointwise` for src/host/pointwise.rs, `losses` for src/losses/mod.rs.
fn module_of(path: &Path, root: &Path) -> String {
    let relative = path.strip_prefix(root).expect("it lies below").with_extension("");
    let relative = relative.to_string_lossy().replace('\\', "/");
    relative.strip_suffix("/mod").unwrap_or(&relative).to_string()
}

/// What lib.rs hands on under its own name: `Criterion` is `criterion`.
fn handed_on(lib: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::from([("shader".to_string(), "wgsl".to_string())]);
    // A list may go over several lines.
    for list in lib.split("\npub use ").skip(1).filter_map(|rest| rest.split(';').next()) {
        let Some((module, rest)) = list.split_once("::") else { continue };
        for name in rest.trim_matches(['{', '}']).split(',').filter(|name| !name.trim().is_empty()) {
            names.insert(name.trim().to_string(), module.to_string());
        }
    }
    names
}

/// The code without comments and without what only tests see.
fn code(text: &str) -> String {
    let kept = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = kept.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

/// The first two names behind each `crate::` as `losses/mse`, with the number of its line; a group gives each of its names.
fn uses(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (place, _) in code.match_indices("crate::") {
        let line = 1 + code[..place].matches('\n').count();
        let rest = &code[place + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push((line, path(rest)));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (at, c) in group.char_indices() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if depth < 0 || depth == 0 && c == ',' {
                let item = group[start..at].trim();
                if !item.is_empty() {
                    found.push((line, path(item)));
                }
                start = at + 1;
            }
            if depth < 0 {
                break;
            }
        }
    }
    found
}

/// `losses/mse` for `losses::mse::Mse`.
fn path(text: &str) -> String {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
    text[..end].split("::").filter(|part| !part.is_empty()).take(2).collect::<Vec<_>>().join("/")
}

/// Each line that reaches up or sideways; and the exceptions that were needed.
fn breaches() -> (Vec<String>, Vec<(&'static str, &'static str)>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let names = handed_on(&fs::read_to_string(root.join("lib.rs")).expect("lib.rs is there"));
    let (mut files, mut breaches, mut needed) = (Vec::new(), Vec::new(), Vec::new());
    rust_files(&root, &mut files);
    for path in files {
        let module = module_of(&path, &root);
        // The manual stands above all floors; tests look wherever they like.
        if module == "lib" || module.ends_with("tests") {
            continue;
        }
        let Some((own, own_floor)) = place(&module) else {
            breaches.push(format!("{} stands on no floor: add it to the table", path.display()));
            continue;
        };
        let text = code(&fs::read_to_string(&path).expect("it can be read"));
        for (line, name) in uses(&text) {
            let target = names.get(&name).cloned().unwrap_or(name);
            let Some((other, other_floor)) = place(&target) else { continue };
            if other == own || other_floor < own_floor {
                continue;
            }
            let excepted = EXCEPTIONS.iter().find(|(from, to, _)| *to == other && (*from == module || *from == own));
            match excepted {
                Some(&(from, to, _)) => needed.push((from, to)),
                None => breaches.push(format!(
                    "{}:{line}: {own} (floor {own_floor}) uses {other} (floor {other_floor})",
                    path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&path).display()
                )),
            }
        }
    }
    (breaches, needed)
}

#[test]
fn a_module_uses_only_floors_below_its_own() {
    let (breaches, _) = breaches();
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn every_exception_is_still_needed() {
    let (_, needed) = breaches();
    for (from, to, reason) in EXCEPTIONS {
        assert!(needed.contains(&(from, to)), "{from} does not use {to} any more ({reason})");
    }
}

#[test]
fn names_are_found_in_groups_and_paths() {
    let text = "use crate::{Error, Result, host::{simd, parallel}, wgsl};\nuse crate::losses::Loss;\nfn f() -> crate::Device {}";
    let found = uses(text);
    let expected = [(1, "Error"), (1, "Result"), (1, "host"), (1, "wgsl"), (2, "losses/Loss"), (3, "Device")];
    assert_eq!(found, expected.map(|(line, name)| (line, name.to_string())));
}
