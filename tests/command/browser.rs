//! Opens pages in headless Chromium, where it is installed, and reports what is wrong with them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support;

/// Names of Chromium on the path.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Widths of a phone's window and of a desktop's.
const WIDTHS: [u32; 2] = [400, 1400];

/// The least contrast of text with its background: WCAG 2.2, level AA.
const CONTRAST: f64 = 4.5;

/// How long all pages may take.
const LONGEST: Duration = Duration::from_secs(180);

/// Stands at the begin of each copy: what a page may load, and who listens for what it tries. The
/// policy makes each request an event, whether or not the machine has a network.
const BEFORE: &str = r#"
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'nonce-look'"/>
<script nonce="look">
const problems = [];
addEventListener('securitypolicyviolation', event => problems.push('asks for ' + event.blockedURI));
addEventListener('error', event => problems.push('error: ' + (event.message || event.target.outerHTML.slice(0, 80))), true);
</script>"#;

/// Stands at the end of each copy: measures the page when all of it is there.
const AFTER: &str = r#"
<script nonce="look">
function brightness([red, green, blue]) {
  const of = part => part <= 0.04045 * 255 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4;
  return 0.2126 * of(red) + 0.7152 * of(green) + 0.0722 * of(blue);
}
function parts(colour) { return (colour.match(/[\d.]+/g) || []).map(Number); }
function background(element) {
  for (let at = element; at; at = at.parentElement) {
    const found = parts(getComputedStyle(at).backgroundColor);
    if (found.length >= 3 && (found.length < 4 || found[3] === 1)) return found;
  }
  return [255, 255, 255];
}
function contrast(element, name) {
  const found = [parts(getComputedStyle(element)[name]), background(element)].map(brightness);
  return (Math.max(...found) + 0.05) / (Math.min(...found) + 0.05);
}
function look() {
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) problems.push(`is ${root.scrollWidth} pixels wide in a window of ${innerWidth}`);
  let pictures = 0, least = 21;
  for (const picture of document.querySelectorAll('svg, img')) {
    pictures += 1;
    const is_svg = picture.tagName.toLowerCase() === 'svg';
    const text = picture.getAttribute(is_svg ? 'aria-label' : 'alt') || '';
    const name = is_svg ? 'an svg' : 'an img';
    if (!text.trim() || (is_svg && picture.getAttribute('role') !== 'img')) problems.push(`${name} has no text`);
    if (!is_svg && picture.naturalWidth === 0) problems.push(`${name} is not drawn`);
    const place = picture.getBoundingClientRect();
    if (place.width < 8 || place.height < 8) problems.push(`${name} is ${place.width} by ${place.height} pixels`);
    if (place.right > innerWidth + 1 || place.left < -1) problems.push(`${name} is cut off`);
  }
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || ['SCRIPT', 'title'].includes(element.tagName) || element.closest('[aria-hidden]')) continue;
    const found = contrast(element, element.closest('svg') ? 'fill' : 'color');
    least = Math.min(least, found);
    if (found < LEAST) problems.push(`\`${element.textContent.trim().slice(0, 40)}\` has a contrast of ${found.toFixed(2)}`);
    const place = element.getBoundingClientRect();
    if (!element.closest('.scroll, pre, svg') && place.right > innerWidth + 1) problems.push(`\`${element.textContent.trim().slice(0, 40)}\` is cut off`);
  }
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  parent.postMessage({page: NAME, width: innerWidth, dark, pictures, contrast: least, problems}, '*');
}
addEventListener('load', () => setTimeout(look, 50));
</script>"#;

/// What one look at a page found.
#[derive(Debug)]
pub struct Look {
    pub page: String,
    pub width: u64,
    pub dark: bool,
    pub pictures: u64,
    pub problems: Vec<String>,
}

/// The browser; or `None`, with a line that the running test is ignored.
pub fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = NAMES.iter().find_map(|name| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    });
    if found.is_none() {
        support::ignore(&format!("needs a browser: none of {} is on the path", NAMES.join(", ")));
    }
    found
}

/// Looks at pages in both widths, light and dark.
pub fn look(browser: &Path, pages: &[(&str, String)]) -> Vec<Look> {
    let folder = tempfile::tempdir().unwrap();
    let mut frames = String::new();
    for (place, (name, html)) in pages.iter().enumerate() {
        let after = AFTER.replace("NAME", &Value::from(*name).to_string());
        let after = after.replace("LEAST", &CONTRAST.to_string());
        let html = html.replacen("<head>", &format!("<head>{BEFORE}"), 1);
        let html = html.replacen("</body>", &format!("{after}</body>"), 1);
        fs::write(folder.path().join(format!("{place}.html")), html).unwrap();
        for width in WIDTHS {
            frames += &format!(
                "<iframe src=\"{place}.html\" style=\"width: {width}px; height: 900px; border: 0\"></iframe>\n"
            );
        }
    }
    // A window of Chromium is at least 500 pixels wide, a frame is as wide as it is asked to be.
    let all = format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"/></head><body><script>
const found = [];
addEventListener('message', event => found.push(event.data));
</script>
{frames}<pre id=\"found\"></pre><script>
addEventListener('load', () => setInterval(() => {{
  if (found.length < {count}) return;
  const text = JSON.stringify(found).replace(/[<>&]/g, letter => '\\\\u00' + letter.charCodeAt(0).toString(16));
  document.getElementById('found').textContent = text;
}}, 100));
</script></body></html>\n",
        count = pages.len() * WIDTHS.len()
    );
    let index = folder.path().join("index.html");
    fs::write(&index, all).unwrap();
    let mut looks = Vec::new();
    for is_dark in [false, true] {
        let [dom, console] = open(browser, folder.path(), &index, is_dark);
        let found = between(&dom, "<pre id=\"found\">", "</pre>");
        let found: Value = serde_json::from_str(found)
            .unwrap_or_else(|error| panic!("no answer of the browser ({error}): {console}"));
        let found = found.as_array().unwrap();
        assert_eq!(found.len(), pages.len() * WIDTHS.len());
        looks.extend(found.iter().map(|one| one_look(one, is_dark)));
        // What is in the console without an event: all of it, as it does not name the frame.
        let lines = console.lines().filter(|line| line.contains(":CONSOLE"));
        let lines: Vec<&str> = lines.filter(|line| !line.contains("Content Security")).collect();
        assert!(lines.is_empty(), "{lines:?}");
    }
    looks
}

/// The document after its scripts, and what the browser wrote on stderr.
fn open(browser: &Path, folder: &Path, index: &Path, is_dark: bool) -> [String; 2] {
    let profile = format!("--user-data-dir={}", folder.join("profile").display());
    let scheme = format!("--blink-settings=preferredColorScheme={}", if is_dark { 0 } else { 1 });
    let files = ["dom", "console"].map(|name| folder.join(name));
    let [dom, console] = files.each_ref().map(|path| File::create(path).unwrap());
    let mut child = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom"])
        .args(["--window-size=1600,1000", &profile, &scheme])
        .arg(format!("file://{}", index.display()))
        .stdin(Stdio::null())
        .stdout(dom)
        .stderr(console)
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > LONGEST {
            child.kill().unwrap();
            panic!("the browser took longer than {LONGEST:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    files.map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned())
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let rest = text.split_once(from).map_or("", |(_, rest)| rest);
    rest.split_once(to).map_or(rest, |(found, _)| found)
}

fn one_look(found: &Value, is_dark: bool) -> Look {
    let problems = found["problems"].as_array().unwrap().iter();
    let look = Look {
        page: found["page"].as_str().unwrap().into(),
        width: found["width"].as_u64().unwrap(),
        dark: found["dark"].as_bool().unwrap(),
        pictures: found["pictures"].as_u64().unwrap(),
        problems: problems.map(|text| text.as_str().unwrap().to_string()).collect(),
    };
    // Otherwise both looks were at the same page.
    assert_eq!(look.dark, is_dark, "{look:?}");
    assert!(WIDTHS.iter().any(|width| u64::from(*width) == look.width), "{look:?}");
    look
}

/// Asserts that pages have no problem, at any width, light or dark, and at least a picture each.
#[track_caller]
pub fn assert_fine(browser: &Path, pages: &[(&str, String)]) {
    let wrong: Vec<Look> = look(browser, pages)
        .into_iter()
        .filter(|look| !look.problems.is_empty() || look.pictures == 0)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
