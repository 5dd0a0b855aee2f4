#!/usr/bin/env python3
"""Breaks lines of gradus on purpose and reports which tests notice.

    tests/mutants/mutants.py host --seed 1       40 lines of src/
    tests/mutants/mutants.py shaders --seed 1    20 lines of shaders/
    tests/mutants/mutants.py known               what once went unnoticed, each by the test that known.json names

All mutants of a run are built at once, into a copy of the tree: each stands beside what it replaces, and GRADUS_MUTANT says which
one counts. A seed draws the same mutants from the same tree. The tests that cover a file are in tests/mutants/tests.json, the quickest
first; a mutant that those let through goes through all tests of the package. Ends with 1 where fewer than 90 of 100 are noticed.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
WORK = ROOT / "target" / "mutants"
TREE = WORK / "tree"
# A build that takes some minutes more than the quickest, and tests that take a third of the time.
PROFILE = ["--config", "profile.release.package.gradus.opt-level=2", "--config", "profile.release.package.gradus.codegen-units=64"]
# A test without a mutant has this long, in seconds. With one it has a minute and five times what it took without:
# what is too long follows from the test and not from one number for all.
UNBROKEN_TIMEOUT = 2400
NO_WGSL = "no WGSL"
MARK = "//MUTANT "
COUNTS = {"host": 40, "shaders": 20, "known": 0}

# Left out: what measures time, what judges the rest by tolerances, and the helpers of tests.
LEFT_OUT = ("src/testing", "src/bin/gradus/bench", "src/runtime/device/test_adapter")

SWAPS = {
    "<": ["<=", ">"], ">": [">=", "<"], "<=": ["<"], ">=": [">"], "==": ["!="], "!=": ["=="],
    "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["/"], "&&": ["||"], "||": ["&&"],
}
COMPARED = {"<", ">", "<=", ">=", "==", "!="}
LOGICAL = {"&&", "||"}
CALLS = {".min(": ".max(", ".max(": ".min(", ".any(": ".all(", ".all(": ".any(", ".is_some_and(": ".is_none_or(",
         ".floor(": ".ceil(", ".ceil(": ".floor("}
# Words and signs that end an expression to either side.
ENDS = re.compile(r"(,|;|=>|->|\breturn\b|\bif\b|\belse\b|\bwhile\b|\bmatch\b|\bin\b|\blet\b|\bbreak\b|\bmove\b|\.\.=?|(?<=[\w)]) [-+*/|&^%]?= |\|(?! )|(?<! )\|)")
SKIPPED = re.compile(r"^\s*(//|#|@|use |pub |pub\(|fn |impl|struct|enum|trait|mod |const|static|type |where|override|var<|extern|unsafe|macro_rules|alias|unreachable|\|)")


def code_of(path):
    """The lines of a file that are not tests."""
    text = (ROOT / path).read_text()
    end = text.find("#[cfg(test)]\nmod ")
    lines = (text if end < 0 else text[:end]).split("\n")
    # An item of the tests alone, to the brace or semicolon that ends it, is left as blank lines.
    for at in [number for number, line in enumerate(lines) if line.strip() == "#[cfg(test)]"]:
        indent = len(lines[at]) - len(lines[at].lstrip())
        while at < len(lines) and not re.match(r" {%d}(\}|\S.*;$)" % indent, lines[at]):
            lines[at], at = "", at + 1
    # Cases that an op hands to the tests are tests too.
    for at in [number for number, line in enumerate(lines) if re.match(r"fn (\w+_)?examples\(\)", line)]:
        while at < len(lines) and lines[at] != "}":
            lines[at], at = "", at + 1
    return lines


def files(kind):
    tracked = subprocess.run(["git", "ls-files", "src" if kind == "host" else "shaders"], cwd=ROOT, check=True, capture_output=True, text=True)
    names = [name for name in tracked.stdout.split() if name.endswith(".rs" if kind == "host" else ".wgsl")]
    return [n for n in names if not n.startswith(LEFT_OUT) and not n.endswith(("_tests.rs", "/tests.rs")) and "/tests/" not in n]


def reach(line, at, step, stops):
    """Where the expression around `at` ends in one direction, at the depth of `at`; None where it goes on in another line."""
    depth, place = 0, at
    opening, closing = ("([{", ")]}") if step > 0 else (")]}", "([{")
    while 0 <= place < len(line):
        sign = line[place]
        if sign in opening and not (sign in "{}" and depth == 0):
            depth += 1
        elif sign in closing or (sign in "{}" and depth == 0):
            if depth == 0:
                return place if step > 0 else place + 1
            depth -= 1
        elif depth == 0:
            for start, end in stops:
                if start <= place < end:
                    return start if step > 0 else end
        place += step
    return None if depth else (len(line) if step > 0 else 0)


def expression(line, start, end, operator):
    """The expression that an operator belongs to, with what binds weaker left outside."""
    stops = [m.span() for m in ENDS.finditer(line)]
    weaker = LOGICAL | (COMPARED if operator not in COMPARED else set())
    if operator in LOGICAL:
        weaker = {"||"} if operator == "&&" else set()
    stops += [m.span() for m in re.finditer(r" (<=|>=|==|!=|<<|>>|<|>|&&|\|\||&|\||\^) ", line) if m.group(1) in weaker | {"<<", ">>", "&", "|", "^"}]
    if operator in LOGICAL and " let " in line:
        return None
    left, right = reach(line, start - 1, -1, stops), reach(line, end, 1, stops)
    if left is None or right is None:
        return None
    while left < start and line[left] == " ":
        left += 1
    while right > end and line[right - 1] == " ":
        right -= 1
    return left, right


def sites(path, lines):
    """Each change of one line that can be made: (line number, begin, end, what then stands there)."""
    for number, line in enumerate(lines):
        before = lines[number - 1].rstrip() if number else ""
        behind = lines[number + 1].lstrip() if number + 1 < len(lines) else ""
        text = line.split(" // ")[0].rstrip()
        if not text.strip() or SKIPPED.match(text) or '"' in text or "'" in text:
            continue
        # An expression over several lines is left alone.
        is_whole = re.search(r"([;{}(,=\[]|=>|\|)$|^$", before) or before.lstrip().startswith("//")
        if not is_whole or behind.startswith((".", "&&", "||", "+ ", "- ", "* ", "/ ", "==", "?")):
            continue
        for m in re.finditer(r" (<=|>=|==|!=|<|>|&&|\|\||\+|-|\*|/|%) ", text):
            operator = m.group(1)
            found = expression(text, m.start(), m.end(), operator)
            if not found:
                continue
            begin, end = found
            for other in SWAPS[operator]:
                yield number, begin, end, f"{text[begin:m.start()]} {other} {text[m.end():end]}"
        if path.endswith(".rs"):
            for call, other in CALLS.items():
                for m in re.finditer(re.escape(call), text):
                    found = expression(text, m.start(), m.end(), ".")
                    # Depth is counted from within the call: only calls that close in this line.
                    if found and text[found[0] : found[1]].count("(") == text[found[0] : found[1]].count(")"):
                        begin, end = found
                        yield number, begin, end, text[begin : m.start()] + other + text[m.end() : end]
        # Larger numbers are sizes of tiles, chunks and tables: they change the time and no result.
        for m in re.finditer(r"(?<![\w.#&])([0-2])(u|\.0)?(?![\w.])", text):
            digits, suffix = m.group(1), m.group(2) or ""
            yield number, m.start(), m.end(), f"{int(digits) + 1}{suffix}"
        for m in re.finditer(r"(?<![\w.])(true|false)(?!\w)", text):
            yield number, m.start(), m.end(), "false" if m.group(1) == "true" else "true"
        if re.match(r"^\s+(\*?[a-z_][\w.\[\]]* [-+*/|]?= |[a-z_][\w.:]*\()", text) and text.endswith(";") and text.count("(") == text.count(")"):
            begin = len(text) - len(text.lstrip())
            yield number, begin, len(text), ""


def draw(kind, seed, count):
    """So many mutants, no two of one line and none that is known. Every site of every file has the same chance."""
    everything = []
    for path in files(kind):
        everything += [(path, *site) for site in sites(path, code_of(path))]
    random.Random(seed).shuffle(everything)
    drawn, lines = [], {(mutant["file"], mutant["line"] - 1) for mutant in known()}
    for path, number, begin, end, new in everything:
        if (path, number) not in lines:
            lines.add((path, number))
            line = code_of(path)[number]
            drawn.append({"file": path, "line": number + 1, "begin": begin, "end": end, "old": line[begin:end], "new": new})
        if len(drawn) >= count:
            break
    return drawn


def known():
    """The mutants of known.json, found by their text."""
    found = []
    for entry in json.loads((HERE / "known.json").read_text()):
        lines = (ROOT / entry["file"]).read_text().split("\n")
        # `near` is a text of an earlier line, where the line itself is there twice.
        first = next((n for n, line in enumerate(lines) if entry.get("near", "") in line), None)
        places = [n for n in range(first or 0, len(lines)) if entry["old"] in lines[n]] if first is not None else []
        if not places:
            sys.exit(f"known.json: `{entry['old']}` is no longer in {entry['file']}: write down what stands there now")
        begin = lines[places[0]].index(entry["old"])
        found.append({**entry, "line": places[0] + 1, "begin": begin, "end": begin + len(entry["old"])})
    return found


def instead(mutant, number, old):
    """The Rust in which a mutant stands beside what it replaces, among which others may stand already."""
    new = mutant["new"]
    on = f"{'gradus' if mutant['file'].startswith('src/bin/') else 'crate'}::mutants::on({number})"
    if mutant["old"].endswith(";"):
        return f"if {on} {{ {new} }} else {{ {old} }}"
    return f"(if {on} {{ {new} }} else {{ {old} }})"


RUNTIME = r"""
#[doc(hidden)]
pub mod mutants {
    static ON: std::sync::LazyLock<usize> =
        std::sync::LazyLock::new(|| std::env::var("GRADUS_MUTANT").ok().and_then(|n| n.parse().ok()).unwrap_or(0));
    pub fn on(number: usize) -> bool {
        *ON == number
    }
    /// A shader's text with the mutant in the place of its line.
    pub fn chosen(text: &str) -> String {
        let mark = format!("//MUTANT {}:", *ON);
        let line = |line| str::split_once(line, mark.as_str()).map_or(line, |(_, mutant)| mutant);
        // Not `lines`, which drops a last line end: errors in a user's text would name another line.
        text.split('\n').map(line).collect::<Vec<_>>().join("\n")
    }
}
"""


def write_tree(mutants):
    """A copy of the tree with all mutants in it; files that do not change keep their time, so that they are not built again."""
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    kept = set(tracked)
    # What was moved since the last run is gone here too.
    for left in [path for path in TREE.rglob("*") if path.is_file() and str(path.relative_to(TREE)) not in kept]:
        left.unlink()
    for name in filter(None, tracked):
        source, target = ROOT / name, TREE / name
        if not source.is_file():
            target.unlink(missing_ok=True)
            continue
        content = source.read_bytes()
        places = {}
        for number, mutant in mutants:
            if mutant["file"] == name:
                places.setdefault((mutant["line"], mutant["begin"], mutant["end"]), []).append((number, mutant))
        if places:
            lines = content.decode().split("\n")
            for (line, begin, end), of_place in sorted(places.items(), reverse=True):
                text = lines[line - 1]
                changed = text[begin:end]
                if name.endswith(".wgsl"):
                    # Beside the line and not in it: a constant that is no number makes the whole shader invalid, also where it is not asked.
                    lines[line - 1] += "".join(f" {MARK}{n}:{text[:begin]}{m['new']}{text[end:]}" for n, m in of_place)
                    continue
                for number, mutant in of_place:
                    changed = instead(mutant, number, changed)
                lines[line - 1] = text[:begin] + changed + text[end:]
            content = "\n".join(lines).encode()
        if name == "src/lib.rs":
            content += RUNTIME.encode()
        if name == "src/runtime/wgsl.rs":
            joined = "text.push_str(file.text);"
            assert content.decode().count(joined) == 1, "src/runtime/wgsl.rs joins texts in another way"
            content = content.decode().replace(joined, "text.push_str(&crate::mutants::chosen(file.text));").encode()
        if not target.is_file() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def cargo(*arguments):
    environment = {**os.environ, "CARGO_TARGET_DIR": str(WORK / "target"), "CARGO_INCREMENTAL": "1", "RUSTFLAGS": os.environ.get("RUSTFLAGS", "")}
    if not environment["RUSTFLAGS"]:
        del environment["RUSTFLAGS"]
    command = os.environ.get("MUTANTS_CARGO", "cargo").split() + list(arguments) + PROFILE
    return subprocess.run(command, cwd=TREE, env=environment, capture_output=True, text=True)


def build(mutants):
    """Builds all tests; mutants that are no Rust or no WGSL are left out. Gives the programs by name and what is left."""
    left = list(enumerate(mutants, 1))
    while True:
        write_tree(left)
        out = cargo("check", "--release", "--all-targets", "--message-format=json")
        wrong = set()
        for line in out.stdout.split("\n"):
            message = json.loads(line).get("message") if line.startswith("{") else None
            if message and message.get("level") == "error":
                wrong |= {(span["file_name"], span["line_start"]) for span in message["spans"]}
        refused = [n for n, m in left if (m["file"], m["line"]) in wrong]
        if out.returncode == 0:
            break
        if not refused:
            sys.exit(f"the tree does not build:\n{out.stderr[-3000:]}")
        left = [(n, m) for n, m in left if n not in refused]
    out = cargo("test", "--release", "--no-run", "--message-format=json")
    if out.returncode:
        sys.exit(f"the tree does not build:\n{out.stderr[-3000:]}")
    programs = {}
    for line in out.stdout.split("\n"):
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("executable"):
            target = message["target"]
            name = target["name"] if not message["profile"]["test"] else {"lib": "lib", "bin": "bin"}.get(target["kind"][0], target["name"])
            programs["gradus" if not message["profile"]["test"] else name] = message["executable"]
    return programs, left


def tests_of(mutant):
    """The test that a known mutant names; else what covers its file: the longest of the beginnings in tests.json that fits."""
    if "test" in mutant:
        return [mutant["test"]]
    path = mutant["file"]
    table = json.loads((HERE / "tests.json").read_text())
    fitting = [beginning for beginning in table if path.startswith(beginning)]
    stem = Path(path).stem
    return [test.replace("{stem}", stem) for test in table[max(fitting, key=len)]]


def run(programs, test, number, timeout):
    """Whether a test passes: `gradus check huber`, or a test program with a filter."""
    name, *arguments = test.split()
    environment = {**os.environ, "GRADUS_MUTANT": str(number), "GRADUS_PIPELINE_CACHE": "off", "GRADUS_AUTOTUNE": "off"}
    environment["CARGO_MANIFEST_DIR"] = str(TREE)
    try:
        out = subprocess.run([programs[name], *arguments], cwd=TREE, env=environment, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return False, "too long"
    output = (out.stdout + out.stderr).decode(errors="replace")
    if "the GPU refused" in output or "Gpu { kernel" in output:
        return False, NO_WGSL
    failed = re.findall(r"^test (\S+) \.\.\. FAILED", output, re.M) or re.findall(r"^\s*(\S.*(?:failed|error).*)$", output, re.M | re.I)
    return out.returncode == 0, failed[0][:100] if failed else f"exit {out.returncode}"


def judge(programs, mutant, number, everything):
    """The test that notices a mutant, or None."""
    asked = tests_of(mutant)
    rest = [name for name in programs if name not in ("gradus", "fuzz")] if everything and "test" not in mutant else []
    for test in asked + [name for name in rest if name not in asked]:
        passes, seconds = unbroken(programs, test)
        if not passes:
            continue
        passed, place = run(programs, test, number, 60 + 5 * seconds)
        if not passed:
            return place if place == NO_WGSL else f"{test}: {place}"
    return None


UNBROKEN = {}
ONE_AT_A_TIME = Lock()


def unbroken(programs, test):
    """Whether a test passes without a mutant, else it shows nothing; and how many seconds it takes."""
    with ONE_AT_A_TIME:
        if test not in UNBROKEN:
            start = time.monotonic()
            passes = run(programs, test, 0, UNBROKEN_TIMEOUT)[0]
            UNBROKEN[test] = passes, time.monotonic() - start
        return UNBROKEN[test]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="+", choices=list(COUNTS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, help="another number of lines than 40 and 20")
    parser.add_argument("--list", action="store_true", help="only tell what would be broken")
    parser.add_argument("--built", action="store_true", help="judge what the last run has built")
    parser.add_argument("--jobs", type=int, default=1, help="mutants that are judged at a time")
    parser.add_argument("--quick", action="store_true", help="only the tests of tests.json, not all behind them")
    options = parser.parse_args()
    mutants = []
    for kind in options.kinds:
        # More than are asked for, as some are no Rust.
        count = (options.count or COUNTS[kind]) * 3 // 2
        mutants += [{**mutant, "kind": kind} for mutant in (known() if kind == "known" else draw(kind, options.seed, count))]
    if options.list:
        for mutant in mutants:
            print(f"{mutant['file']}:{mutant['line']}: `{mutant['old']}` -> `{mutant['new']}`")
        return
    kept = WORK / "built.json"
    if not options.built:
        kept.write_text(json.dumps(build(mutants)))
    programs, left = json.loads(kept.read_text())
    judged = []
    for kind in options.kinds:
        judged += [(n, m) for n, m in left if m["kind"] == kind][: None if kind == "known" else options.count or COUNTS[kind]]
    killed, refused, start = dict.fromkeys(options.kinds, 0), dict.fromkeys(options.kinds, 0), time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        for mutant, noticed in pool.map(lambda job: (job[1], judge(programs, job[1], job[0], not options.quick)), judged):
            if noticed == NO_WGSL:
                refused[mutant["kind"]] += 1
                continue
            killed[mutant["kind"]] += noticed is not None
            place = f"{mutant['file']}:{mutant['line']}: `{mutant['old']}` -> `{mutant['new']}`"
            print(f"{'noticed ' if noticed else 'SURVIVED'} {place}{'; ' + noticed if noticed else ''}", flush=True)
    enough = all(passes for passes, _ in UNBROKEN.values())
    for test in [test for test, (passes, _) in UNBROKEN.items() if not passes]:
        print(f"`{test}` fails without a mutant: it was not asked")
    for kind in options.kinds:
        count = sum(mutant["kind"] == kind for _, mutant in judged) - refused[kind]
        print(f"{kind}, seed {options.seed}: {killed[kind]} of {count} noticed")
        # Nothing judged is nothing shown.
        enough &= count > 0 and killed[kind] * 10 >= 9 * count
    print(f"{time.monotonic() - start:.0f} s")
    sys.exit(0 if enough else 1)


if __name__ == "__main__":
    main()
