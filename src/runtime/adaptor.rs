//! Adaptors between kernel templates and the files of losses, activations and optimizers.
//!
//! Every function, struct and option in such a file carries the file's stem: `huber_loss`, `DiceSums`, `ADAM_BETA1`. So several files stand in
//! one module, and a search for a name finds its shader and its calls. A template calls `loss(…)` or `update(…)`, whatever file it is linked
//! with. The adaptor is a few generated lines of WGSL that define the template's names by those of the file.
//!
//! A file from outside the crate ([`File::new`]) defines the template's names itself and needs no adaptor.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use crate::runtime::wgsl::File;

/// Where the value of an option comes from in a program that several models share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Setting {
    /// The same for all: an `override` of the pipeline.
    Constant(f64),
    /// It differs: the number at this place among the numbers of a member.
    PerMember(usize),
}

/// The name of a function that a template calls `name`, in a file.
pub(crate) fn function(file: &File, name: &str) -> String {
    if file.is_own() { format!("{}_{name}", file.stem()) } else { name.into() }
}

/// The name of an option, or of a constant, in a file: `HUBER_DELTA`. The names are kept until the process ends: there are as many as the
/// shaders of the crate have options.
pub(crate) fn option(file: &File, name: &'static str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    if !file.is_own() {
        return name;
    }
    let full = format!("{}_{name}", file.stem().to_uppercase());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(&known) = names.get(full.as_str()) {
        return known;
    }
    let kept: &'static str = Box::leak(full.into_boxed_str());
    names.insert(kept);
    kept
}

/// The options of a file with their values, by their names in it.
pub(crate) fn options(
    file: &File,
    values: Vec<(&'static str, f64)>,
) -> impl Iterator<Item = (&'static str, f64)> {
    let file = *file;
    values.into_iter().map(move |(name, value)| (option(&file, name), value))
}

/// The name of a struct in a file: `DiceSums`.
fn structure(file: &File, name: &str) -> String {
    let mut full = String::new();
    for word in file.stem().split('_') {
        let (first, rest) = word.split_at(word.len().min(1));
        full += &first.to_uppercase();
        full += rest;
    }
    full + name
}

/// Declares the names of a template by those of a file. `interface` lists what the template takes from it: `fn name(x: f32) -> f32`, `struct
/// Name` or `override NAME: kind`.
pub(crate) fn adaptor(file: &File, interface: &[&'static str]) -> String {
    adaptor_of_members(file, interface, &[])
}

/// As [`adaptor`], with options that are variables where they differ between members: `load_options` sets them.
pub(crate) fn adaptor_of_members(
    file: &File,
    interface: &[&'static str],
    settings: &[(&'static str, Setting)],
) -> String {
    let mut text = String::new();
    if !file.is_own() {
        return text;
    }
    for declaration in interface {
        let (kind, rest) = declaration.split_once(' ').unwrap_or((declaration, ""));
        let _ = match kind {
            "fn" => writeln!(text, "{}", call(declaration, |name| function(file, name))),
            "struct" => writeln!(text, "alias {rest} = {};", structure(file, rest)),
            _ => {
                let name = rest.split(':').next().unwrap_or_default();
                if per_member(settings).any(|(varies, _)| varies == name) {
                    writeln!(text, "var<private> {rest};")
                } else {
                    writeln!(text, "{declaration} = {};", option(file, name))
                }
            }
        };
    }
    text
}

/// A function with this signature that calls another with its arguments.
fn call(signature: &str, called: impl Fn(&str) -> String) -> String {
    let (head, rest) = signature.split_once('(').unwrap_or((signature, ""));
    let (parameters, result) = rest.rsplit_once(')').unwrap_or((rest, ""));
    let arguments: Vec<&str> = parameters
        .split(", ")
        .map(|parameter| parameter.split(':').next().unwrap_or_default())
        .collect();
    let returns = if result.is_empty() { "" } else { "return " };
    let name = head.trim_start_matches("fn ");
    format!("{signature} {{ {returns}{}({}); }}", called(name), arguments.join(", "))
}

/// The text of a file whose options are set while the program runs: those overrides become private variables.
pub(crate) fn with_variables(file: &File, settings: &[(&'static str, Setting)]) -> String {
    let names: Vec<&str> = per_member(settings).map(|(name, _)| option(file, name)).collect();
    let mut text = String::with_capacity(file.text.len());
    for line in file.text.split_inclusive('\n') {
        let declaration = line.strip_prefix("override ").and_then(|rest| rest.split_once(" = "));
        match declaration {
            Some((typed, _)) if names.iter().any(|name| typed.split(':').next() == Some(name)) => {
                let _ = writeln!(text, "var<private> {typed};");
            }
            _ => text.push_str(line),
        }
    }
    text
}

/// The options that differ between the members, with their places.
pub(crate) fn per_member<'a>(
    settings: &'a [(&'static str, Setting)],
) -> impl Iterator<Item = (&'static str, usize)> + 'a {
    settings.iter().filter_map(|&(name, setting)| match setting {
        Setting::PerMember(place) => Some((name, place)),
        Setting::Constant(_) => None,
    })
}

/// The options that are the same for all, by their names in the file.
pub(crate) fn constants(
    file: &File,
    settings: &[(&'static str, Setting)],
) -> Vec<(&'static str, f64)> {
    let constant = |&(name, setting): &(&'static str, Setting)| match setting {
        Setting::Constant(value) => Some((option(file, name), value)),
        Setting::PerMember(_) => None,
    };
    settings.iter().filter_map(constant).collect()
}

/// The type of an option in the text of its file.
pub(crate) fn kind_of(file: &File, name: &'static str) -> &'static str {
    let declaration = format!("override {}: ", option(file, name));
    let rest = file.text.lines().find_map(|line| line.strip_prefix(declaration.as_str()));
    rest.and_then(|rest| rest.split(' ').next()).unwrap_or("f32")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOPED: File = File::own(
        "activations/sloped_line.wgsl",
        "// y = SLOPE x\noverride SLOPED_LINE_SLOPE: f32 = 0.5;\noverride SLOPED_LINE_ON: bool = true;\n\
         struct SlopedLinePair { x: f32 }\nfn sloped_line_activate(x: f32) -> f32 { return SLOPED_LINE_SLOPE * x; }\n\
         fn sloped_line_log(x: f32, y: f32) {}\n",
    );

    #[test]
    fn an_adaptor_declares_the_names_of_a_template() {
        let interface = [
            "fn activate(x: f32) -> f32",
            "fn log(x: f32, y: f32)",
            "struct Pair",
            "override SLOPE: f32",
        ];
        let text = adaptor(&SLOPED, &interface);
        let expected = "fn activate(x: f32) -> f32 { return sloped_line_activate(x); }\n\
                        fn log(x: f32, y: f32) { sloped_line_log(x, y); }\n\
                        alias Pair = SlopedLinePair;\noverride SLOPE: f32 = SLOPED_LINE_SLOPE;\n";
        assert_eq!(text, expected);
        let varying =
            adaptor_of_members(&SLOPED, &interface[3..], &[("SLOPE", Setting::PerMember(0))]);
        assert_eq!(varying, "var<private> SLOPE: f32;\n");
        let module = text + SLOPED.text;
        wgpu::naga::front::wgsl::parse_str(&module)
            .unwrap_or_else(|error| panic!("{}", error.emit_to_string(&module)));
    }

    #[test]
    fn a_file_from_outside_keeps_its_names() {
        let file = File::new("own", "fn loss() {}");
        assert_eq!(adaptor(&file, &["fn loss()"]), "");
        assert_eq!(
            (function(&file, "loss"), option(&file, "SCALE")),
            ("loss".to_string(), "SCALE")
        );
    }

    #[test]
    fn an_option_that_differs_between_members_is_a_variable() {
        let settings = [("SLOPE", Setting::Constant(0.25)), ("ON", Setting::PerMember(3))];
        let text = with_variables(&SLOPED, &settings);
        assert!(text.contains("\nvar<private> SLOPED_LINE_ON: bool;\n"), "{text}");
        assert!(text.contains("\noverride SLOPED_LINE_SLOPE: f32 = 0.5;\n"), "{text}");
        assert_eq!(constants(&SLOPED, &settings), [("SLOPED_LINE_SLOPE", 0.25)]);
        assert_eq!((kind_of(&SLOPED, "ON"), kind_of(&SLOPED, "SLOPE")), ("bool", "f32"));
        wgpu::naga::front::wgsl::parse_str(&text)
            .unwrap_or_else(|error| panic!("{}", error.emit_to_string(&text)));
    }
}
