//! Names that are in no list: the one that was probably meant, and the command that lists them all.

use gradus::{Error, activations, losses, optimizers, schedules};

/// An entry of one of the four lists by the names that it goes by.
struct Known {
    kind: &'static str,
    name: &'static str,
    /// In PyTorch, Keras, optax.
    elsewhere: [&'static str; 3],
}

fn catalogue() -> Vec<Known> {
    macro_rules! known {
        ($kind:literal, $list:expr) => {
            $list.iter().map(|entry| Known {
                kind: $kind,
                name: entry.name,
                elsewhere: [entry.torch, entry.keras, entry.optax],
            })
        };
    }
    let losses = known!("loss", losses::CATALOGUE);
    let activations = known!("activation", activations::CATALOGUE);
    let optimizers = known!("optimizer", optimizers::CATALOGUE);
    losses
        .chain(activations)
        .chain(optimizers)
        .chain(known!("schedule", schedules::CATALOGUE))
        .collect()
}

/// The message of an error; that of an unknown name says what was probably meant instead of eighty names.
pub fn explain(error: &Error) -> String {
    let Error::Unknown { kind, found, known } = error else { return error.to_string() };
    let known: Vec<&str> = known.split(", ").collect();
    if let Some(owner) = kind.strip_prefix("option of ") {
        let hint = did_you_mean(nearest(found, known.iter().copied()));
        return format!(
            "unknown {kind} `{found}`; {hint}known: {}; `gradus losses {owner}` shows them",
            known.join(", ")
        );
    }
    match kind.as_str() {
        "loss" | "activation" | "optimizer" | "schedule" => in_catalogue(kind, found),
        "benchmark" => among(kind, found, &known),
        // The columns of a table.
        _ if kind.starts_with("column of ") => {
            let hint = did_you_mean(nearest(found, known.iter().copied()));
            format!("unknown {kind} `{found}`; {hint}known: {}", known.join(", "))
        }
        _ => error.to_string(),
    }
}

/// An unknown loss, activation, optimizer or schedule; of `kind` `name`, any of them.
pub fn in_catalogue(kind: &str, found: &str) -> String {
    let all = catalogue();
    let (own, others): (Vec<&Known>, Vec<&Known>) =
        all.iter().partition(|known| kind == "name" || known.kind == kind);
    let list = match kind {
        "name" => "`gradus losses` lists all".to_string(),
        "loss" => format!("`gradus losses` lists the {} losses", own.len()),
        kind => format!("`gradus losses` lists the {} {kind}s", own.len()),
    };
    let elsewhere = others.iter().find(|known| plain(known.name) == plain(found));
    let hint = match (nearest_entry(found, &own), elsewhere) {
        (_, Some(other)) => format!("`{}` is {} {}; ", other.name, article(other.kind), other.kind),
        (near, None) => did_you_mean(near),
    };
    format!("unknown {kind} `{found}`; {hint}{list}")
}

/// Names of others than losses that are listed in full.
const LISTED: usize = 20;

/// A name that is neither a loss nor one of others, which are listed where they are few.
pub fn among(kind: &str, found: &str, known: &[&str]) -> String {
    let losses = losses::CATALOGUE.iter().map(|entry| entry.name).collect::<Vec<_>>();
    let others: Vec<&str> = known.iter().copied().filter(|name| !losses.contains(name)).collect();
    let hint = did_you_mean(nearest(found, known.iter().copied()));
    if others.len() > LISTED {
        let last = others.last().copied().unwrap_or_default();
        return format!(
            "unknown {kind} `{found}`; {hint}known: the {} names that `gradus losses` lists, and {last}",
            known.len() - 1
        );
    }
    let others = others.join(", ");
    format!(
        "unknown {kind} `{found}`; {hint}known: {others}, and each loss (`gradus losses` lists them)"
    )
}

fn article(kind: &str) -> &'static str {
    if kind.starts_with(['a', 'o']) { "an" } else { "a" }
}

pub fn did_you_mean(name: Option<&str>) -> String {
    name.map_or(String::new(), |name| format!("did you mean `{name}`? "))
}

/// As people write it: without case, `-`, `_` and the word "loss" at its end.
fn plain(name: &str) -> String {
    let letters: String = name
        .chars()
        .filter(|letter| letter.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    match letters.strip_suffix("loss") {
        Some(rest) if !rest.is_empty() => rest.to_string(),
        _ => letters,
    }
}

/// How far a name is from what was written: exchanged, missing, wrong and surplus letters. None of those that are too far.
fn distance(found: &str, name: &str) -> Option<usize> {
    let (found, name) = (plain(found), plain(name));
    // One letter in three may be wrong.
    let most = found.chars().count().max(name.chars().count()) / 3;
    let begins = found.chars().count() >= 3 && name.starts_with(&found);
    let letters = strsim::osa_distance(&found, &name);
    if letters <= most { Some(letters) } else { begins.then_some(most + 1) }
}

/// The name that was probably meant; none where all are too far.
pub fn nearest<'a>(found: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .filter_map(|name| Some((distance(found, name)?, name)))
        .min_by_key(|(letters, _)| *letters)
        .map(|(_, name)| name)
}

/// By its own name or by that of another library.
fn nearest_entry(found: &str, entries: &[&Known]) -> Option<&'static str> {
    let own = entries
        .iter()
        .filter_map(|known| Some(((distance(found, known.name)?, false), known.name)));
    let elsewhere = entries.iter().flat_map(|known| {
        let names = known.elsewhere.into_iter().flat_map(|names| names.split(", "));
        names.filter_map(|name| {
            let name = name.split(['(', ' ']).next()?.rsplit('.').next()?;
            // Of other libraries only what is written nearly so: their names are long and alike.
            Some(((distance(found, name).filter(|letters| *letters <= 1)?, true), known.name))
        })
    });
    own.chain(elsewhere).min_by_key(|(order, _)| *order).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found_by_letters_by_its_beginning_and_by_other_libraries_names() {
        for (kind, found, meant) in [
            ("loss", "hubber", "huber"),
            ("loss", "cross-entropy", "cross_entropy"),
            ("loss", "CrossEntropyLoss", "cross_entropy"),
            ("loss", "MSELoss", "mse"),
            ("loss", "MeanAbsoluteError", "mae"),
            ("loss", "BCEWithLogitsLoss", "bce_with_logits"),
            ("loss", "crossentropy", "cross_entropy"),
            ("loss", "lambdarank", "lambda_rank"),
            ("optimizer", "adma", "adam"),
            ("optimizer", "AdamW", "adamw"),
            ("activation", "rleu", "relu"),
            ("schedule", "cosin", "cosine"),
            ("loss", "sparsem", "sparsemax"),
        ] {
            let message = in_catalogue(kind, found);
            assert!(message.contains(&format!("did you mean `{meant}`?")), "{message}");
            assert!(
                message.starts_with(&format!("unknown {kind} `{found}`"))
                    && message.contains("`gradus losses`")
            );
        }
    }

    #[test]
    fn what_nothing_is_like_is_not_guessed_at_and_what_is_something_else_is_said() {
        let message = in_catalogue("loss", "xyzzy");
        assert!(!message.contains("did you mean"), "{message}");
        assert!(
            message.contains(&format!("lists the {} losses", losses::CATALOGUE.len())),
            "{message}"
        );
        assert!(in_catalogue("loss", "adam").contains("`adam` is an optimizer"));
        assert!(in_catalogue("loss", "").contains("unknown loss ``"));
        assert!(in_catalogue("name", "hubber").contains("`huber`"));
    }
}
