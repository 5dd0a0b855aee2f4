//! `gradus losses`: lists the losses, activations, optimizers and schedules, and shows an entry in
//! full.

use clap::Args;
use gradus::losses::Domain;
use gradus::{OptionDoc, activations, losses, optimizers, schedules};
use serde_json::{Map, Value, json};

use crate::names;
use crate::output::{self, Failure, Outcome};

/// Lists the losses, activations, optimizers and schedules, or shows one of them with its options
#[derive(Args)]
pub struct Losses {
    /// The loss, activation, optimizer or schedule to show in full
    name: Option<String>,
    /// Prints one JSON document on stdout
    #[arg(long)]
    json: bool,
    /// Prints the WGSL program that computes it on a GPU, with source files and lines as comments
    #[arg(long, requires = "name", conflicts_with = "json")]
    wgsl: bool,
    /// Program variant to print, counted from 0: the first is the plainest, others take weights,
    /// labels, f16 or larger workgroups
    #[arg(long, requires = "wgsl", value_name = "N", default_value_t = 0)]
    template_variant: usize,
}

impl Losses {
    pub fn run(&self) -> Outcome {
        if let (Some(name), true) = (&self.name, self.wgsl) {
            return output::print(&wgsl(name, self.template_variant)?);
        }
        let lists = lists();
        let Some(name) = &self.name else {
            return if self.json {
                output::print_json(&as_document(&lists))
            } else {
                output::print(&overview(&lists))
            };
        };
        let mut all = lists.iter().flat_map(|(_, entries)| entries);
        match all.find(|entry| entry["name"] == **name) {
            Some(entry) if self.json => output::print_json(entry),
            Some(entry) => output::print(&in_full(entry)),
            None => Err(Failure::Usage(names::in_catalogue("name", name))),
        }
    }
}

/// A program of a loss, an activation or an optimizer.
fn wgsl(name: &str, variant: usize) -> Result<String, Failure> {
    let listings = gradus::testing::listings_of(name)?;
    if listings.is_empty() {
        return Err(Failure::Usage(
            match schedules::CATALOGUE.iter().any(|entry| entry.name == name) {
                true => {
                    format!(
                        "--wgsl: `{name}` is a schedule, which has no shader; losses, activations and optimizers have"
                    )
                }
                false => names::in_catalogue("name", name),
            },
        ));
    }
    let count = listings.len();
    let Some(listing) = listings.into_iter().nth(variant) else {
        let most = count - 1;
        return Err(Failure::Usage(format!(
            "--template-variant is {variant}; `{name}` has {count} programs: it must be from 0 to {most}"
        )));
    };
    let constants: Vec<String> =
        listing.constants.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let constants =
        if constants.is_empty() { "all at their defaults".into() } else { constants.join(", ") };
    Ok(format!(
        "// {}: program {variant} of {count}\n// overrides: {constants}\n\n{}",
        listing.label, listing.text
    ))
}

/// The four lists, with each entry as JSON.
fn lists() -> [(&'static str, Vec<Value>); 4] {
    macro_rules! entry {
        ($kind:literal, $entry:ident) => {{
            let defaults = ($entry.make)(&Value::Null).map(|made| made.options()).unwrap_or(Value::Null);
            json!({
                "name": $entry.name, "kind": $kind, "summary": $entry.summary, "formula": $entry.formula,
                "options": options($entry.options, &defaults),
                "torch": $entry.torch, "keras": $entry.keras, "optax": $entry.optax, "source": $entry.source,
            })
        }};
    }
    let of_losses = losses::CATALOGUE.iter().map(|entry| {
        let mut found = entry!("loss", entry);
        found["inputs"] = (entry.make)(&Value::Null).map_or(Value::Null, |loss| inputs(&*loss));
        found
    });
    let of_activations = activations::CATALOGUE.iter().map(|entry| entry!("activation", entry));
    let of_optimizers = optimizers::CATALOGUE.iter().map(|entry| entry!("optimizer", entry));
    let of_schedules = schedules::CATALOGUE.iter().map(|entry| {
        let defaults = (entry.make)(&Value::Null).map(|made| made.options()).unwrap_or(Value::Null);
        json!({
            "name": entry.name, "kind": "schedule", "summary": entry.summary, "formula": entry.formula,
            "options": options(entry.options, &defaults),
            "torch": entry.torch, "keras": entry.keras, "optax": entry.optax, "source": "",
        })
    });
    [
        ("losses", of_losses.collect()),
        ("activations", of_activations.collect()),
        ("optimizers", of_optimizers.collect()),
        ("schedules", of_schedules.collect()),
    ]
}

fn options(choices: &[OptionDoc], defaults: &Value) -> Vec<Value> {
    let option = |choice: &OptionDoc| {
        json!({
            "name": choice.name, "default": defaults[choice.name], "domain": choice.domain, "meaning": choice.meaning,
        })
    };
    choices.iter().map(option).collect()
}

/// The inputs of a loss with their domains.
fn inputs(loss: &dyn losses::LossDefinition) -> Value {
    let mut inputs = Map::new();
    if loss.arguments().is_empty() {
        inputs.insert("predictions".into(), in_words(loss.predictions()).into());
        inputs.insert("targets".into(), in_words(loss.targets()).into());
    }
    for argument in loss.arguments() {
        let optional = if argument.role.is_optional() { "optional: " } else { "" };
        let numbers =
            if argument.role.is_integers() { "whole numbers" } else { in_words(argument.domain) };
        inputs.insert(
            argument.name.into(),
            format!("{optional}{}; {numbers}", argument.shape).into(),
        );
    }
    inputs.insert("weight".into(), "optional: multiplies each element or row".into());
    inputs.insert(
        "row_weight".into(),
        "optional, instead of weight: one number for each row, also where the rows are as many as the columns".into(),
    );
    inputs.insert("mask".into(), "optional: false takes an element or row out".into());
    for input in loss.inputs() {
        inputs.insert(input.name.into(), format!("optional: {}", input.shape).into());
    }
    Value::Object(inputs)
}

fn in_words(domain: Domain) -> &'static str {
    match domain {
        Domain::Real => "any numbers",
        Domain::Exponent => "any numbers; e to the power of each is taken",
        Domain::Logits => "any numbers, of which the softmax of each row is what counts",
        Domain::Positive => "above 0",
        Domain::NonNegative | Domain::Variance => "from 0 on",
        Domain::Sign => "-1 or +1",
        Domain::ZeroOne => "0 or 1",
        Domain::Cosine => "from -1 to 1",
        Domain::Probability => "from 0 to 1",
        Domain::LogDistribution => "logarithms of probabilities that add up to 1 in each row",
        Domain::LogProbability => "0 or below: logarithms of probabilities",
        Domain::Distribution => "a distribution in each row",
        Domain::Relevance => "from 0 on, the more relevant the higher; below 0 is padding",
        Domain::Time => "from 0 on; below 0 is padding",
        Domain::ClassList => "class numbers, each row's list ended by -1",
        Domain::Grade => "from 0 to 100, the more relevant the higher; below 0 is padding",
        Domain::Class => "a class label for each row, or a distribution in each row",
        Domain::Label => "a class label for each row",
    }
}

fn as_document(lists: &[(&str, Vec<Value>)]) -> Value {
    Value::Object(
        lists.iter().map(|(kind, entries)| ((*kind).to_string(), entries.clone().into())).collect(),
    )
}

fn word<'a>(entry: &'a Value, field: &str) -> &'a str {
    entry[field].as_str().unwrap_or_default()
}

/// Minimum width at which a table has room for formulas and other libraries' names; narrower tables
/// would break every word of them.
const WIDE: usize = 140;

fn overview(lists: &[(&str, Vec<Value>)]) -> String {
    let columns = [
        ("name", "name"),
        ("what it is for", "summary"),
        ("formula", "formula"),
        ("PyTorch", "torch"),
        ("Keras", "keras"),
        ("optax, jax", "optax"),
    ];
    let columns = if output::width() >= WIDE { &columns[..] } else { &columns[..2] };
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    let mut text = String::new();
    for (kind, entries) in lists {
        let mut table = output::table(&headings);
        for entry in entries {
            table.add_row(columns.iter().map(|(_, field)| word(entry, field)));
        }
        text += &format!("{kind}\n{table}\n\n");
    }
    text + &output::folded(
        "gradus losses NAME shows one with its formula, its options and the same in other libraries.\n",
    )
}

fn in_full(entry: &Value) -> String {
    let heading = format!(
        "{} ({}): {}\n\n",
        word(entry, "name"),
        word(entry, "kind"),
        word(entry, "summary")
    );
    let mut text = output::folded(&heading);
    for (heading, field) in [
        ("formula", "formula"),
        ("PyTorch", "torch"),
        ("Keras", "keras"),
        ("optax, jax", "optax"),
        ("source", "source"),
    ] {
        if !word(entry, field).is_empty() {
            text += &output::folded(&format!("{heading:<12}{}\n", word(entry, field)));
        }
    }
    if let Some(inputs) = entry["inputs"].as_object() {
        text += "\ninputs\n";
        for (name, meaning) in inputs {
            text += &output::folded(&format!(
                "  {name:<18} {}\n",
                meaning.as_str().unwrap_or_default()
            ));
        }
    }
    let Some(options) = entry["options"].as_array().filter(|options| !options.is_empty()) else {
        return text + "\nno options of its own\n";
    };
    let mut table = output::table(&["option", "default", "allowed", "meaning"]);
    for option in options {
        let default = option["default"].to_string();
        table.add_row([
            word(option, "name"),
            &default,
            word(option, "domain"),
            word(option, "meaning"),
        ]);
    }
    text + &format!("\n{table}\n")
}
