//! The public items of the library and who calls them: `docs/public-api.md`, from the sources.
//! `GRADUS_WRITE_DOCS=1 cargo test --release --test conventions docs` writes it.
//!
//! Read as text: a module is public if the root or a public module says so, an item if it stands
//! in a public module as `pub` or is re-exported there. A caller is a text that names the item: by
//! its own name if that has a capital (types, traits), otherwise behind its module (`zoo::gpt`) or
//! in a `use gradus::…`. Two items of one name count as one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::page::holds;

/// Items that no example, command or test names, and why they are public.
const UNNAMED: &[(&str, &str)] = &[
    ("RowHistory", "field of History"),
    ("NetworkAdvice", "field of Advice"),
    ("OptimizerAdvice", "field of Advice"),
    ("FeatureImportance", "returned by permutation importance"),
    ("CALIBRATION_BINS", "number of bins of a calibration error"),
    ("Overfitting", "field of Diagnosis"),
    ("RatePoint", "field of LearningRates"),
    ("UpdateSigns", "field of History"),
    ("Configuration", "field of a trial"),
    ("Auxiliaries", "returned by Evaluation::auxiliaries"),
    ("FeatureArray", "what Model::fit and predict take features as"),
    ("FloatElement", "bound: the element types of floating-point inputs"),
    ("Floats", "what Inputs takes arrays of floats as"),
    ("TargetElement", "bound: the element types of targets"),
    ("Approximate", "option of Gelu"),
    ("Ceilings", "field of a measurement"),
    ("ByPrecision", "in a hidden method of Real"),
    ("OfPrecision", "in a hidden method of Real"),
    ("Idx", "returned by read_idx"),
    ("TablePieces", "iterator of the pieces of a table"),
    ("Closure", "a layer from a function"),
    ("LayerEntry", "type of the list LAYERS"),
    ("Custom", "returned by losses::custom"),
    ("HessianDiagonal", "field of Spec"),
    ("ItemWeight", "field of Spec"),
    ("TargetDerivative", "field of Spec"),
    ("PointwiseTarget", "trait of a loss with derivatives by its targets, named by its Spec"),
    ("RowwiseTarget", "trait of a loss with derivatives by its targets, named by its Spec"),
    ("PointwiseHessian", "trait of a loss with second derivatives, named by its Spec"),
    ("RowwiseHessian", "trait of a loss with second derivatives, named by its Spec"),
    ("RowTarget", "bound of Rowwise::Target"),
    ("Mining", "option of BatchTriplet"),
    ("Role", "field of Argument"),
    ("TargetLogitTransform", "option of CrossEntropy"),
    ("Clip", "field of GradientTransform"),
    ("Factors", "in a method of Optimizer"),
    ("MOST_STATES", "limit on the states of an optimizer"),
    ("NewtonSchulz", "field of PerTensor"),
    ("PerTensor", "returned by Optimizer::per_tensor"),
    ("Anneal", "option of OneCycle"),
    ("Mode", "option of ReduceOnPlateau"),
    ("ThresholdMode", "option of ReduceOnPlateau"),
    ("EmbeddingTable", "returned by Model::tables"),
    ("Checked", "returned by testing::check"),
    ("LayerGradients", "returned by LayerPass"),
    ("Listing", "returned by listings_of"),
];

/// A module as its users write it, and its names.
type Modules = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file_of(module: &[String]) -> Option<PathBuf> {
    let path = root().join("src").join(module.join("/"));
    [path.with_extension("rs"), path.join("mod.rs")].into_iter().find(|file| file.is_file())
}

/// The code of a file without its comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    text.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The paths of a `use`: `a::{b, c::{d}}` is `a::b` and `a::c::d`.
fn paths(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((prefix, rest)) = tree.split_once('{') else { return vec![tree.to_string()] };
    let inside = rest.strip_suffix('}').unwrap_or(rest);
    let (mut found, mut depth, mut start) = (Vec::new(), 0, 0);
    for (place, letter) in inside.char_indices().chain([(inside.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = &inside[start..place];
                let of_part = if part.trim().is_empty() { Vec::new() } else { paths(part) };
                found.extend(of_part.into_iter().map(|path| format!("{}{path}", prefix.trim())));
                start = place + 1;
            }
            _ => {}
        }
    }
    found
}

/// What follows `start` at the beginning of a line, up to `end`.
fn statements<'t>(text: &'t str, start: &str, end: &'t str) -> Vec<&'t str> {
    let begins =
        text.match_indices(start).filter(|(at, _)| *at == 0 || text[..*at].ends_with('\n'));
    begins.filter_map(|(at, _)| text[at + start.len()..].split(end).next()).collect()
}

fn visit(name: &str, module: &[String], found: &mut Modules) {
    let file = if module.is_empty() { Some(root().join("src/lib.rs")) } else { file_of(module) };
    let file = file.unwrap_or_else(|| panic!("{name}: {} has no file", module.join("::")));
    if found.insert(name.to_string(), BTreeSet::new()).is_some() {
        return;
    }
    let text = code(&file);
    let mut items = BTreeSet::new();
    for kind in ["fn ", "const fn ", "struct ", "enum ", "trait ", "type ", "const ", "static "] {
        let names = statements(&text, &format!("pub {kind}"), "\n");
        let names = names.into_iter().filter(|rest| !rest.starts_with("fn "));
        items.extend(names.map(|rest| {
            rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(rest).into()
        }));
    }
    for list in statements(&text, "catalogue! {", "\n}") {
        items.extend(entries(list));
    }
    for child in statements(&text, "pub mod ", "\n") {
        match child.strip_suffix(';') {
            Some(child) => {
                let path = [module, &[child.to_string()]].concat();
                visit(&format!("{name}::{child}"), &path, found);
            }
            // A module inside the root, for what the tests call.
            None => {
                let (child, _) = child.split_once(' ').unwrap_or((child, ""));
                let body = text.split(&format!("pub mod {child} {{")).nth(1).unwrap_or_default();
                let inside = body.split("\n}").next().unwrap_or_default();
                let names = inside.split(';').filter_map(|line| line.trim().rsplit("::").next());
                let names = names.filter(|name| !name.is_empty()).map(str::to_string).collect();
                found.insert(format!("{name}::{child}"), names);
            }
        }
    }
    for tree in statements(&text, "pub use ", ";") {
        for path in paths(tree) {
            let mut words: Vec<String> = path.split("::").map(|word| word.trim().into()).collect();
            let last = words.last().cloned().unwrap_or_default();
            let renamed = last.split(" as ").last().unwrap_or(&last).to_string();
            match words[0].as_str() {
                "crate" | "self" => drop(words.remove(0)),
                _ => words = [module, &words].concat(),
            }
            let is_module = renamed.starts_with(char::is_lowercase) && file_of(&words).is_some();
            if is_module {
                visit(&format!("{name}::{renamed}"), &words, found);
            } else {
                items.insert(renamed);
            }
        }
    }
    found.get_mut(name).expect("it was put in above").extend(items);
}

/// The names of a list's entries: `mse::Mse, …`.
fn entries(list: &str) -> impl Iterator<Item = String> {
    list.split([',', ';']).filter_map(|entry| Some(entry.trim().split_once("::")?.1.to_string()))
}

/// The names that some texts use.
#[derive(Default)]
struct Names {
    words: HashSet<String>,
    /// `a::b`
    pairs: HashSet<(String, String)>,
    /// In a `use gradus::…`.
    imported: HashSet<String>,
}

impl Names {
    fn add(&mut self, text: &str) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut before = "";
        let mut rest = text;
        while let Some(begin) = rest.find(is_word) {
            let between = &rest[..begin];
            let end = rest[begin..].find(|c| !is_word(c)).map_or(rest.len(), |end| begin + end);
            let word = &rest[begin..end];
            if between == "::" {
                self.pairs.insert((before.to_string(), word.to_string()));
            }
            self.words.insert(word.to_string());
            (before, rest) = (word, &rest[end..]);
        }
        for tree in text.split("use gradus::").skip(1).filter_map(|rest| rest.split(';').next()) {
            let last = |path: String| path.rsplit("::").next().unwrap_or_default().to_string();
            self.imported.extend(paths(&tree.replace('\n', " ")).into_iter().map(last));
        }
    }

    fn hold(&self, module: &str, item: &str) -> bool {
        let module = module.rsplit("::").next().unwrap_or(module);
        let is_type = item.starts_with(char::is_uppercase) && item.contains(char::is_lowercase);
        is_type && self.words.contains(item)
            || self.imported.contains(item)
            || self.pairs.contains(&(module.to_string(), item.to_string()))
    }
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|found| found == ending) {
            found.push(path);
        }
    }
}

fn names_of(folders: &[&str], ending: &str) -> Names {
    let mut names = Names::default();
    for folder in folders {
        let mut found = Vec::new();
        files(&root().join(folder), ending, &mut found);
        found.retain(|file| !file.ends_with("public-api.md") && !file.ends_with("public_api.rs"));
        for file in found {
            names.add(&fs::read_to_string(&file).unwrap_or_default());
        }
    }
    names
}

/// The names in the code of documentation comments.
fn names_of_examples(names: &mut Names) {
    let mut sources = Vec::new();
    files(&root().join("src"), "rs", &mut sources);
    for file in sources.iter().filter(|file| !file.starts_with(root().join("src/bin"))) {
        let (mut code, mut inside) = (String::new(), false);
        for line in fs::read_to_string(file).unwrap_or_default().lines() {
            let line = line.trim_start();
            let Some(line) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else {
                inside = false;
                continue;
            };
            let line = line.strip_prefix(' ').unwrap_or(line);
            match line.starts_with("```") {
                true => inside = !inside,
                false if inside => code += &format!("{line}\n"),
                false => {}
            }
        }
        names.add(&code);
    }
}

/// Every public item by module, with who names it.
fn table() -> (Modules, Vec<(String, String, String)>) {
    let mut modules = Modules::new();
    visit("gradus", &[], &mut modules);
    let mut examples = names_of(&["examples"], "rs");
    names_of_examples(&mut examples);
    let pages = names_of(&["docs"], "md");
    examples.words.extend(pages.words);
    examples.pairs.extend(pages.pairs);
    examples.imported.extend(pages.imported);
    examples.add(&fs::read_to_string(root().join("README.md")).unwrap_or_default());
    let command = names_of(&["src/bin"], "rs");
    let tests = names_of(&["tests", "benches"], "rs");
    let mut rows = Vec::new();
    for (module, items) in &modules {
        for item in items {
            let callers = [("example", &examples), ("command", &command), ("test", &tests)];
            let callers = callers.into_iter().filter(|(_, names)| names.hold(module, item));
            let callers: Vec<&str> = callers.map(|(who, _)| who).collect();
            rows.push((module.clone(), item.clone(), callers.join(", ")));
        }
    }
    (modules, rows)
}

/// The entries of the lists, which are made by their names.
fn listed() -> BTreeSet<String> {
    let lists = ["losses/mod.rs", "nn/activations/mod.rs", "nn/optimizers/mod.rs"];
    let mut found = BTreeSet::new();
    for list in lists {
        let text = code(&root().join("src").join(list));
        found.extend(statements(&text, "catalogue! {", "\n}").into_iter().flat_map(entries));
    }
    // `&decay::MULTI_STEP` is the entry of `MultiStep`.
    let text = code(&root().join("src/nn/schedules/list.rs"));
    let names = text.lines().filter_map(|line| line.trim().strip_prefix('&')?.strip_suffix(','));
    let camel = |name: &str| {
        let parts = name.rsplit("::").next().unwrap_or(name).split('_');
        parts.map(|part| format!("{}{}", &part[..1], part[1..].to_lowercase())).collect::<String>()
    };
    found.extend(names.map(camel));
    found
}

/// Why an item that nobody names is public.
fn reason(item: &str, listed: &BTreeSet<String>) -> Option<&'static str> {
    let own = UNNAMED.iter().find(|(unnamed, _)| *unnamed == item).map(|(_, why)| *why);
    own.or(listed.contains(item).then_some("entry of a list, made by its name"))
}

fn page(rows: &[(String, String, String)]) -> String {
    let mut text = String::from(
        "# Public items\n\nEvery public item of the library by module, and who names it: an example of the \
         documentation or of `examples`, the command, a test or a benchmark. Fields and methods stand with their \
         type. Written from the sources by `tests/conventions/public_api.rs`, which fails for an item that \
         nobody names, unless it says why it is public.\n\n\
         Hidden from the documentation, for the command and the tests, which are crates of their own: `cpu`, \
         `random`, `text`, `files`, `memory`, `wgsl`, `bench`, `cases`. They may change in any version.\n\n\
         `bench` and `cases` do not stand beside the command because they call what is not public: `bench` times \
         single kernels, templates and ceilings on their own buffers, and `testing::all_programs` takes its shaders; \
         `cases` steps an optimizer over bare parameters, and the fuzz tests feed it.\n\n\
         | module | named by | items |\n|---|---|---|\n",
    );
    let listed = listed();
    let mut groups: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for (module, item, callers) in rows {
        let who = match callers.as_str() {
            "" => reason(item, &listed).unwrap_or("nobody").to_string(),
            callers => callers.to_string(),
        };
        groups.entry((module, who)).or_default().push(item);
    }
    for ((module, who), items) in groups {
        let items: Vec<String> = items.iter().map(|item| format!("`{item}`")).collect();
        text += &format!("| `{module}` | {who} | {} |\n", items.join(", "));
    }
    text
}

#[test]
fn the_docs_list_every_public_item_with_a_caller_or_a_reason() {
    let (modules, rows) = table();
    assert!(modules.len() > 20 && rows.len() > 400, "{} in {}", rows.len(), modules.len());
    for (module, item) in
        [("gradus", "Criterion"), ("gradus::losses", "Mse"), ("gradus::wgsl", "File")]
    {
        assert!(modules[module].contains(item), "{module}::{item} was not found");
    }
    let listed = listed();
    assert!(listed.len() > 120 && listed.contains("MultiStep"), "{listed:?}");
    let unnamed = rows.iter().filter(|(_, _, callers)| callers.is_empty());
    let unnamed: Vec<String> = unnamed
        .filter(|(_, item, _)| reason(item, &listed).is_none())
        .map(|(module, item, _)| format!("{module}::{item}"))
        .collect();
    assert!(unnamed.is_empty(), "nobody names these public items:\n{}", unnamed.join("\n"));
    for (item, _) in UNNAMED {
        let needed = rows.iter().any(|(_, found, callers)| found == item && callers.is_empty());
        assert!(needed, "`{item}` is named by now, or gone: take it out of UNNAMED");
    }
    holds("docs/public-api.md", &page(&rows));
}

#[test]
fn a_tree_of_imports_is_its_paths() {
    assert_eq!(paths("a::{b, c::{d, e}, f as g}"), ["a::b", "a::c::d", "a::c::e", "a::f as g"]);
    let mut names = Names::default();
    names.add("use gradus::{Device, zoo::gpt};\nfn main() { losses::entry(\"mse\"); }");
    assert!(names.hold("gradus", "Device") && names.hold("gradus::zoo", "gpt"));
    assert!(names.hold("gradus::losses", "entry") && !names.hold("gradus::zoo", "entry"));
    assert!(!names.hold("gradus::zoo", "main"));
}
