//! `make driver` with stub programs: a failing probe does not mean a missing adapter, and apt-get's
//! messages are shown.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Writes a shell script to a folder that is first in the search path.
fn script(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// `make driver` as root on Linux, with `gradus devices` as the probe and an `apt-get` that records
/// its call. `None` without make.
fn driver(probe: &str, apt_get: &str) -> Option<(Output, bool)> {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    script(at, "cargo", &format!("echo '{{\"target_directory\":\"{}\"}}'", at.display()));
    script(at, "release/gradus", probe);
    script(at, "apt-get", &format!("touch {}/called; {apt_get}", at.display()));
    script(at, "id", "echo 0");
    script(at, "uname", "echo Linux");
    let path = format!("{}:{}", at.display(), std::env::var("PATH").unwrap_or_default());
    let mut make = Command::new("make");
    make.args(["-f", concat!(env!("CARGO_MANIFEST_DIR"), "/Makefile"), "driver"]).env("PATH", path);
    let output = make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").output().ok()?;
    Some((output, at.join("called").exists()))
}

fn report(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn a_probe_that_fails_is_reported_and_installs_nothing() {
    let Some((output, is_called)) = driver("echo 'a broken library' >&2; exit 127", "true") else {
        return;
    };
    let report = report(&output);
    assert!(!output.status.success() && !is_called, "{report}");
    assert!(
        report.contains("a broken library")
            && report.contains("not known whether there is a GPU adapter"),
        "{report}"
    );
}

#[test]
fn without_an_adapter_a_driver_is_installed_and_its_failure_is_heard() {
    let Some((output, is_called)) =
        driver("echo '{\"adapters\": []}'", "echo 'E: no network' >&2; exit 100")
    else {
        return;
    };
    let report = report(&output);
    assert!(output.status.success() && is_called, "{report}");
    for word in ["no GPU adapter", "E: no network", "will be ignored"] {
        assert!(report.contains(word), "{report}");
    }
}

#[test]
fn with_an_adapter_there_is_nothing_to_do() {
    let Some((output, is_called)) =
        driver("echo '{\"adapters\": [{\"backend\": \"vulkan\"}]}'", "true")
    else {
        return;
    };
    assert!(output.status.success() && !is_called, "{}", report(&output));
}
