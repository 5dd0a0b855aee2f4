//! The pages of `--html`, in a browser where there is one.

use std::fmt::Write as _;

use tempfile::TempDir;

use crate::browser::{assert_fine, browser, look};
use crate::{IMAGES, run, stderr, text};

/// A table with names that have no place to break, and a column of a single class more.
fn people(folder: &TempDir) -> std::path::PathBuf {
    let long = "a_very_long_name_of_a_column_that_no_window_of_a_phone_can_hold_in_a_line";
    let mut csv = format!("age,{long},height,answer\n");
    for row in 0..240_usize {
        let age = 20 + row * 7 % 60;
        let town = ["Ayr", "Bath", "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch"];
        let answer = if (age > 50) == (row % 20 != 19) { "yes" } else { "no" };
        let _ = writeln!(csv, "{age},{},{},{answer}", town[row / 3 % 3], 150 + row * 13 % 50);
    }
    let path = folder.path().join("people.csv");
    std::fs::write(&path, csv).unwrap();
    path
}

/// The page that a command writes.
fn page(folder: &TempDir, arguments: &[&str]) -> String {
    let file = folder.path().join(format!("{}.html", arguments[0]));
    let output = run(&[arguments, &["--html", text(&file)]].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    // The browser test does the rest where there is a browser.
    let html = std::fs::read_to_string(&file).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && !html.contains("<script"), "{arguments:?}");
    html
}

#[test]
fn each_page_is_fine_in_a_browser() {
    let folder = TempDir::new().unwrap();
    let data = people(&folder);
    let (data, model) = (text(&data), folder.path().join("model"));
    let rows = ["--data", data, "--target", "answer"];
    let cpu = ["--device", "cpu"];
    let of = |arguments: &[&str]| page(&folder, arguments);
    let loss = ["--loss", "cross_entropy", "--hidden", "16"];
    let train = [&["train"][..], &rows[..], &loss, &cpu, &["--epochs", "20"]].concat();
    let pages = [
        ("train", of(&[&train[..], &["--out", text(&model)]].concat())),
        ("rates", of(&[&["rates"][..], &rows[..], &loss, &cpu, &["--test-steps", "30"]].concat())),
        ("advise", of(&[&["advise"][..], &rows[..]].concat())),
        (
            "tune",
            of(&[&["tune"][..], &rows[..], &cpu, &["--budget", "400000", "--bracket", "9"]]
                .concat()),
        ),
        (
            "explain",
            of(&[&["explain", text(&model), "--data", data], &cpu[..], &["--epochs", "5"]]
                .concat()),
        ),
        ("bench", of(&[&["bench", "mse", "--quick"], &cpu[..]].concat())),
    ];
    let Some(browser) = browser() else { return };
    assert_fine(&browser, &pages);
}

#[test]
fn an_explanation_of_images_is_fine_in_a_browser() {
    let folder = TempDir::new().unwrap();
    let Some(browser) = browser() else { return };
    let model = folder.path().join("model");
    let data = ["--data", IMAGES, "--device", "cpu"];
    let train = ["train", "--loss", "cross_entropy", "--hidden", "8", "--epochs", "1"];
    let trained = run(&[&train[..], &data, &["--out", text(&model)]].concat());
    assert_eq!(trained.status.code(), Some(0), "{}", stderr(&trained));
    let explain = ["explain", text(&model), "--no-labels"];
    let html = page(&folder, &[&explain[..], &data].concat());
    // Ten rows with the largest loss, each beside what its pixels add.
    assert_eq!(html.matches("<img src=\"data:image/png;base64,").count(), 20);
    assert_fine(&browser, &[("explain", html)]);
}

#[test]
fn an_explanation_of_a_text_is_fine_in_a_browser() {
    let folder = TempDir::new().unwrap();
    let Some(browser) = browser() else { return };
    let (model, words) = (folder.path().join("model"), folder.path().join("words.txt"));
    std::fs::write(&words, "so it goes\n\ton <and> \"on\" & on ".repeat(40)).unwrap();
    let train = "train --model gpt --layers 1 --heads 1 --width 8 --epochs 1 --device cpu";
    let files = ["--text", text(&words), "--out", text(&model)];
    let trained = run(&train.split(' ').chain(files).collect::<Vec<_>>());
    assert_eq!(trained.status.code(), Some(0), "{}", stderr(&trained));
    let explain = ["explain", text(&model), "--text", text(&words), "--device", "cpu"];
    let html = page(&folder, &explain);
    assert_eq!(html.matches("<pre class=\"marked\">").count(), 10);
    assert_fine(&browser, &[("explain", html)]);
}

#[test]
fn the_demo_trains_the_example_network_and_measures_and_shows_what_it_found() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("demo.html");
    let output = run(&["demo", "--device", "cpu", "--html", text(&file)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(report.matches("epoch 5: loss").count(), 2, "{report}");
    assert_eq!(report.matches("7960 parameters, 1565 steps").count(), 2, "{report}");
    assert!(report.contains("matmul") && report.contains("Next:"), "{report}");
    // A ceiling that was not measured has no line, not a question mark.
    assert!(!report.contains("copy ?") && report.contains("reached, median:"), "{report}");
    let html = std::fs::read_to_string(&file).unwrap();
    // Twelve wrong ones with their pixels' parts, ten right ones, twelve suspicious ones.
    assert_eq!(html.matches("<img src=\"data:image/png;base64,").count(), 12 * 2 + 10 + 12);
    assert_eq!(html.matches("<svg role=\"img\"").count(), 4);
    for part in ["What to do", "taken for", "suspicion 0.", "vertex", "gradus explain"] {
        assert!(html.contains(part), "{part}");
    }
    let Some(browser) = browser() else { return };
    assert_fine(&browser, &[("demo", html)]);
}

#[test]
fn a_page_that_is_not_fine_is_found() {
    let Some(browser) = browser() else { return };
    let of = |body: &str| {
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><title>t</title></head><body>{body}</body></html>"
        )
    };
    let dot = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
    let cases = [
        ("wide", "<div style=\"width: 2000px\">text</div>".to_string(), "pixels wide in a window"),
        (
            "no text",
            "<svg role=\"img\" width=\"20\" height=\"20\"></svg>".into(),
            "an svg has no text",
        ),
        (
            "no alt",
            format!("<img src=\"{dot}\" width=\"20\" height=\"20\"/>"),
            "an img has no text",
        ),
        (
            "request",
            "<img src=\"http://127.0.0.1:9/a.png\" alt=\"a\" width=\"20\" height=\"20\"/>".into(),
            "asks for http://127.0.0.1:9",
        ),
        (
            "style",
            "<link rel=\"stylesheet\" href=\"https://127.0.0.1:9/a.css\"/>".into(),
            "asks for https://127.0.0.1:9",
        ),
        ("script", "<script>alert(1)</script>".into(), "asks for inline"),
        (
            "pale",
            "<p style=\"color: #aaa; background: #fff\">pale</p>".into(),
            "`pale` has a contrast of 2.3",
        ),
        (
            "broken",
            "<img src=\"data:image/png;base64,AAAA\" alt=\"a\" width=\"20\" height=\"20\"/>".into(),
            "an img is not drawn",
        ),
    ];
    let pages: Vec<(&str, String)> =
        cases.iter().map(|(name, body, _)| (*name, of(body))).collect();
    let looks = look(&browser, &pages);
    assert_eq!(looks.len(), 4 * cases.len());
    for (name, _, problem) in cases {
        for one in looks.iter().filter(|look| look.page == name) {
            assert!(one.problems.iter().any(|found| found.contains(problem)), "{one:?}");
        }
    }
    let fine = of("<p style=\"color: #000; background: #fff\">fine</p>");
    let looks = look(&browser, &[("fine", fine)]);
    assert!(looks.iter().all(|look| look.problems.is_empty()), "{looks:?}");
}
