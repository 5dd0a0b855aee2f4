//! Conventions of the catalogues: rules that hold for every loss, activation and optimizer,
//! including future ones.

use gradus::losses::{OneInput, Template};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use gradus::wgsl::File;
use gradus::{activations, losses, optimizers};
use serde_json::{Value, json};

/// An object built from an entry and options: its options as JSON, and its constants.
type Made = (Value, Vec<(&'static str, f64)>);

type Make = Box<dyn Fn(&Value) -> gradus::Result<Made>>;

/// Common interface of the three lists' entries.
struct Line {
    list: &'static str,
    name: &'static str,
    words: Vec<(&'static str, &'static str)>,
    /// Name, domain and meaning.
    options: Vec<[&'static str; 3]>,
    variants: &'static [&'static str],
    shader: File,
    /// Builds the entry's object with checked options.
    make: Make,
}

macro_rules! lines {
    ($list:ident, $($more:ident),*) => {
        $list::CATALOGUE.iter().map(|&entry| Line {
            list: stringify!($list),
            name: entry.name,
            words: vec![("summary", entry.summary), ("formula", entry.formula), $((stringify!($more), entry.$more)),*],
            options: entry.options.iter().map(|option| [option.name, option.domain, option.meaning]).collect(),
            variants: entry.variants,
            shader: entry.shader,
            make: Box::new(move |options| {
                let made = $list::from_name(entry.name, options)?;
                Ok((made.options(), made.constants()))
            }),
        })
    };
}

fn lines() -> Vec<Line> {
    lines!(losses, source)
        // The identity has no known source.
        .chain(lines!(activations,))
        .chain(lines!(optimizers,))
        .collect()
}

impl Line {
    /// The stem of its shader: a loss fused with a linear layer uses that of the loss.
    fn stem(&self) -> &'static str {
        self.name.strip_prefix("linear_").filter(|_| self.list == "losses").unwrap_or(self.name)
    }

    /// The name of an option in its shader: `HUBER_DELTA`.
    fn in_shader(&self, option: &str) -> String {
        format!("{}_{option}", self.stem().to_uppercase())
    }

    /// For messages: `losses huber`.
    fn title(&self) -> String {
        format!("{} {}", self.list, self.name)
    }

    fn defaults(&self) -> Made {
        (self.make)(&Value::Null).unwrap_or_else(|error| panic!("{}: {error}", self.title()))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Stems of the files in a folder with the given extension.
fn stems(folder: &Path, ending: &str) -> BTreeSet<String> {
    let files =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = files.map(|file| file.expect("it can be listed").path());
    // A module is a file or a folder with a `mod` file.
    let named = paths.filter(|path| {
        path.extension().is_some_and(|found| found == ending)
            || path.join("mod").with_extension(ending).is_file()
    });
    named.filter_map(|path| Some(path.file_stem()?.to_str()?.to_string())).collect()
}

#[test]
fn names_are_unique_and_in_snake_case() {
    let mut seen = BTreeSet::new();
    for line in lines() {
        assert!(seen.insert((line.list, line.name)), "{} is there twice", line.title());
        let snake =
            line.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        assert!(
            snake && line.name.starts_with(|c: char| c.is_ascii_lowercase()),
            "{}",
            line.title()
        );
    }
}

#[test]
fn a_name_is_the_stem_of_its_shader_and_of_its_rust_file() {
    for line in lines() {
        assert_eq!(line.shader.name, format!("{}/{}.wgsl", line.list, line.stem()));
        let shader = fs::read_to_string(root().join("shaders").join(line.shader.name));
        assert_eq!(
            shader.expect("the shader is there"),
            line.shader.text,
            "{} was built from another text",
            line.title()
        );
    }
}

#[test]
fn every_file_of_a_list_is_a_line_in_it() {
    // Each folder, and the modules in it that its entries share.
    let folders = [
        ("losses", "src/losses", "custom fused inputs outputs policy prelude trainable"),
        ("activations", "src/nn/activations", "activation"),
        (
            "optimizers",
            "src/nn/optimizers",
            "blanket clip groups link optimizer per_tensor rule slices span step sweep update",
        ),
    ];
    for (list, folder, shared) in folders {
        let names: BTreeSet<String> =
            lines().iter().filter(|l| l.list == list).map(|l| l.name.to_string()).collect();
        let listed =
            lines().iter().filter(|l| l.list == list).map(|l| l.stem().to_string()).collect();
        assert_eq!(stems(&root().join("shaders").join(list), "wgsl"), listed, "shaders/{list}");
        let mut sources = stems(&root().join(folder), "rs");
        for module in shared.split(' ').chain(["mod", "tests"]) {
            assert!(sources.remove(module) || module == "tests", "{folder} has no {module}");
        }
        assert_eq!(sources, names, "{folder}");
    }
}

#[test]
fn the_words_of_an_entry_are_there_and_on_one_line() {
    for line in lines() {
        let options = line
            .options
            .iter()
            .flat_map(|option| ["name", "domain", "meaning"].into_iter().zip(*option));
        for (which, text) in line.words.iter().copied().chain(options) {
            assert!(!text.trim().is_empty(), "{}: {which} is empty", line.title());
            assert_eq!(text, text.trim(), "{}: {which}", line.title());
            assert!(!text.contains('\n'), "{}: {which} runs over lines", line.title());
        }
    }
}

#[test]
fn the_options_documented_are_the_options_there_are_in_order() {
    for line in lines() {
        let (options, _) = line.defaults();
        let written: Vec<&str> =
            options.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let documented: Vec<&str> = line.options.iter().map(|option| option[0]).collect();
        assert_eq!(written, documented, "{}", line.title());
    }
}

#[test]
fn options_written_out_make_the_same_again() {
    for line in lines() {
        for options in line.variants.iter().chain(&["{}"]) {
            let options = serde_json::from_str(options).expect("a variant is JSON");
            let made =
                (line.make)(&options).unwrap_or_else(|error| panic!("{}: {error}", line.title()));
            assert_eq!(
                (line.make)(&made.0).expect("what it wrote itself"),
                made,
                "{}",
                line.title()
            );
        }
    }
}

#[test]
fn variants_are_valid_and_differ_from_the_defaults_and_from_each_other() {
    for line in lines() {
        let mut seen = vec![line.defaults().0];
        for variant in line.variants {
            let options: Value = serde_json::from_str(variant).expect("a variant is JSON");
            let (made, _) = (line.make)(&options)
                .unwrap_or_else(|error| panic!("{} {variant}: {error}", line.title()));
            assert!(!seen.contains(&made), "{} {variant} is there already", line.title());
            for (name, value) in options.as_object().expect("a variant is an object") {
                assert_eq!(&made[name], value, "{} {variant}", line.title());
            }
            seen.push(made);
        }
    }
}

/// An option that no variant sets is never tested by an oracle.
#[test]
fn every_option_is_set_by_a_variant() {
    for line in lines() {
        let (defaults, _) = line.defaults();
        for [name, ..] in &line.options {
            let set = line.variants.iter().any(|variant| {
                let options: Value = serde_json::from_str(variant).expect("a variant is JSON");
                options.get(*name).is_some_and(|value| *value != defaults[*name])
            });
            // The learning rate comes with each step; the option is only the start of a schedule.
            assert!(set || *name == "learning_rate", "{}: no variant sets {name}", line.title());
        }
    }
}

#[test]
fn an_unknown_option_is_refused_with_the_known_ones() {
    for line in lines() {
        let error = (line.make)(&json!({ "no_such_option": 1 }))
            .expect_err("it has none of that name")
            .to_string();
        assert!(error.contains("no_such_option") && error.contains(line.name), "{error}");
        for [name, ..] in &line.options {
            assert!(error.contains(name), "{error} does not list {name}");
        }
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_the_domain() {
    for line in lines() {
        for [name, domain, _] in &line.options {
            let error = (line.make)(&json!({ *name: { "no": "value" } }))
                .expect_err("an object is no option")
                .to_string();
            assert!(error.contains(name) && error.contains(domain), "{}: {error}", line.title());
        }
        assert!(
            (line.make)(&json!([1, 2])).is_err(),
            "{}: a list is no set of options",
            line.title()
        );
    }
}

/// Documented domains are exact: values just outside are rejected, endpoints that belong to the
/// domain are accepted.
#[test]
fn options_are_refused_just_outside_their_documented_domain() {
    const DOMAINS: [(&str, &[f64], &[f64]); 5] = [
        ("> 0", &[0.0, -1e-9, -1.0], &[1e-9, 1.0, 100.0]),
        (">= 0", &[-1e-9, -1.0], &[0.0, 1.0, 100.0]),
        ("in [0, 1]", &[-1e-9, 1.0 + 1e-9], &[0.0, 0.5, 1.0]),
        ("in [0, 1)", &[-1e-9, 1.0], &[0.0, 0.5, 0.999]),
        ("in (0, 1)", &[0.0, 1.0], &[1e-9, 0.999]),
    ];
    let mut checked = 0;
    for line in lines() {
        for [name, domain, _] in &line.options {
            let Some((_, outside, inside)) = DOMAINS
                .iter()
                .find(|(words, ..)| domain.trim_start_matches("finite and ").starts_with(words))
            else {
                continue;
            };
            for value in *outside {
                let error = (line.make)(&json!({ *name: value })).expect_err(name).to_string();
                assert!(
                    error.contains(name) && error.contains(domain),
                    "{}: {error}",
                    line.title()
                );
            }
            for value in *inside {
                let made = (line.make)(&json!({ *name: value }));
                assert!(made.is_ok(), "{}: {name} = {value}: {:?}", line.title(), made.err());
            }
            checked += 1;
        }
    }
    assert!(checked > 10, "only {checked} options have a domain in numbers");
}

#[test]
fn an_unknown_name_is_refused_with_the_known_ones() {
    let errors = [
        (
            "losses",
            losses::from_name("no_such", &Value::Null).expect_err("there is none").to_string(),
        ),
        (
            "activations",
            activations::from_name("no_such", &Value::Null).expect_err("there is none").to_string(),
        ),
        (
            "optimizers",
            optimizers::from_name("no_such", &Value::Null).expect_err("there is none").to_string(),
        ),
    ];
    for (list, error) in errors {
        for line in lines().iter().filter(|line| line.list == list) {
            assert!(error.contains(line.name), "{error} does not list {}", line.name);
        }
    }
}

/// Names declared by `override` in a shader.
fn overrides(text: &str) -> BTreeSet<String> {
    let declared = text.lines().filter_map(|line| line.trim().strip_prefix("override "));
    declared.map(|rest| rest.split(':').next().unwrap_or_default().trim().to_string()).collect()
}

#[test]
fn the_overrides_of_a_shader_are_the_constants_of_its_cpu_implementation() {
    for line in lines() {
        for options in line.variants.iter().chain(&["{}"]) {
            let made = (line.make)(&serde_json::from_str(options).expect("a variant is JSON"))
                .expect("it is valid");
            let given: BTreeSet<String> =
                made.1.iter().map(|(name, _)| line.in_shader(name)).collect();
            assert_eq!(given.len(), made.1.len(), "{}: a constant is given twice", line.title());
            assert_eq!(given, overrides(line.shader.text), "{}", line.title());
        }
    }
}

/// Names that begin with their file's stem can coexist in one module, and a search for `huber_loss`
/// finds the shader and its calls.
#[test]
fn every_name_of_a_shader_begins_with_its_stem() {
    for line in lines() {
        let stem = line.stem();
        let camel: String =
            stem.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
        for declaration in line.shader.text.lines() {
            let Some((kind, rest)) = declaration.split_once(' ') else { continue };
            let name = rest.split(['(', ':', ' ']).next().unwrap_or_default();
            let begins = match kind {
                // The entry point of a lattice is named by the stem only.
                "fn" => name == stem || name.starts_with(&format!("{stem}_")),
                "override" | "const" => name.starts_with(&format!("{}_", stem.to_uppercase())),
                "struct" | "alias" => name.starts_with(&camel),
                _ => true,
            };
            assert!(begins, "{}: {kind} {name}", line.title());
        }
    }
}

/// A reader takes the default from the shader.
#[test]
fn the_defaults_of_a_shader_are_those_of_its_cpu_implementation() {
    for line in lines() {
        for (name, value) in line.defaults().1 {
            let start = format!("override {}:", line.in_shader(name));
            let declared = line.shader.text.lines().find(|text| text.starts_with(&start));
            let text = declared.unwrap_or_else(|| panic!("{}: no override {name}", line.title()));
            let written = text.split(['=', ';']).nth(1).unwrap_or_default().trim();
            let number = match written {
                "true" => 1.0,
                "false" => 0.0,
                written => written.trim_end_matches(['u', 'i', 'f']).parse().unwrap_or(f64::NAN),
            };
            assert!(
                (number - value).abs() <= 1e-12 * value.abs(),
                "{}: {name} is {number}, not {value}",
                line.title()
            );
        }
    }
}

#[test]
fn a_shader_is_short_and_opens_with_its_formula() {
    for line in lines() {
        assert!(line.shader.text.starts_with("// "), "{} opens without a comment", line.title());
        assert!(line.shader.text.ends_with('\n'), "{}", line.title());
        let longest = line.shader.text.lines().map(|text| text.chars().count()).max().unwrap_or(0);
        assert!(longest <= 160, "{}: a line of {longest} characters", line.title());
    }
}

/// In a single pass the kernel template has no outcome to pass: a loss that read one would get
/// zeros.
#[test]
fn the_losses_that_are_written_as_they_are_folded_are_those_that_ask_for_no_outcome() {
    let mut separable = 0;
    for entry in losses::CATALOGUE {
        for variant in entry.variants.iter().chain(&["{}"]) {
            let options = serde_json::from_str(variant).expect("a variant is JSON");
            let loss = losses::from_name(entry.name, &options).expect("it is valid");
            if !matches!(loss.template(), Template::OneInput(OneInput::Rowwise(_))) {
                continue;
            }
            let texts = loss.spec().helpers.iter().map(|file| file.text).chain([entry.shader.text]);
            let functions = texts
                .flat_map(|text| text.split("\nfn "))
                .filter_map(|function| function.split_once('('));
            let gradients =
                functions.filter(|(name, _)| *name == "gradient" || name.ends_with("_gradient"));
            let function = gradients.last().map(|(_, rest)| rest);
            let body =
                function.and_then(|rest| rest.split_once(") -> vec4<f32> {")).map(|(_, body)| body);
            let body = body.and_then(|rest| rest.split("\n}\n").next());
            let body = body.unwrap_or_else(|| panic!("{} has no gradient", entry.name));
            assert_eq!(
                loss.spec().separable,
                !body.contains("outcome"),
                "{} {variant}",
                entry.name
            );
            separable += usize::from(loss.spec().separable);
        }
    }
    assert!(separable > 4, "only {separable}");
}

/// Mutants that once survived are reintroduced by `tests/mutants/mutants.py known`: it must still
/// find their lines.
#[test]
fn the_known_mutants_stand_where_their_list_says() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let list: serde_json::Value = serde_json::from_str(
        &std::fs::read_to_string(root.join("tests/mutants/known.json")).unwrap(),
    )
    .unwrap();
    let entries = list.as_array().unwrap();
    assert!(entries.len() >= 30);
    for entry in entries {
        let [file, old] = ["file", "old"].map(|name| entry[name].as_str().unwrap());
        let text = std::fs::read_to_string(root.join(file))
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(
            text.contains(old),
            "`{old}` is no longer in {file}: write down in known.json what stands there now"
        );
    }
}
