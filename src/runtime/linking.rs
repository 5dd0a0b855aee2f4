//! Links several fillings into one program. A filling calls its functions as its frame wants them, so that two
//! activations, or an activation and a loss, cannot stand in one module as they are: each is put under a name of its own
//! here, and its options become constants, or variables where the members of a population differ in them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Where the value of an option comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Setting {
    /// The same for all.
    Constant(f64),
    /// At this place among the numbers of a member.
    OfMember(usize),
}

/// A file under a name of its own: `prefix` before every name that it declares at its top.
#[derive(Debug, Default)]
pub(crate) struct Linked {
    pub text: String,
    /// Statements that set the options of a member, from `table[at + i]`.
    pub loads: String,
}

/// A piece of WGSL: a word, or what stands between two.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece<'a> {
    Word(&'a str),
    Other(&'a str),
}

/// Words apart from the rest. Comments are dropped: they would be rewritten too.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for line in text.split_inclusive('\n') {
        let code = line.find("//").map_or(line, |at| &line[..at]);
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut rest = code;
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
            let (piece, behind) = rest.split_at(end);
            pieces.push(if is_word(first) { Piece::Word(piece) } else { Piece::Other(piece) });
            rest = behind;
        }
        if code.len() < line.len() {
            pieces.push(Piece::Other("\n"));
        }
    }
    pieces
}

/// The names that a file declares at its top.
fn declared<'a>(pieces: &[Piece<'a>]) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    let (mut depth, mut declares) = (0_i32, false);
    for piece in pieces {
        match *piece {
            Piece::Other(text) => {
                depth += text.matches('{').count() as i32 - text.matches('}').count() as i32;
            }
            Piece::Word(word) if declares => {
                names.insert(word);
                declares = false;
            }
            Piece::Word(word) => {
                declares = depth == 0 && ["fn", "override", "const", "struct", "alias"].contains(&word)
            }
        }
    }
    names
}

/// Links a file; `settings` hold the values of its `override`s by name.
pub(crate) fn link(text: &str, prefix: &str, settings: &[(&'static str, Setting)]) -> Linked {
    let pieces = pieces(text);
    let names = declared(&pieces);
    let mut linked = Linked::default();
    let mut place = 0;
    while place < pieces.len() {
        match pieces[place] {
            Piece::Word("override") => {
                place += option(&pieces[place..], prefix, settings, &mut linked);
                continue;
            }
            // A field's name behind a dot is nobody else's.
            Piece::Word(word) if names.contains(word) && !follows_dot(&pieces[..place]) => {
                linked.text.push_str(prefix);
                linked.text.push_str(word);
            }
            Piece::Word(word) | Piece::Other(word) => linked.text.push_str(word),
        }
        place += 1;
    }
    linked
}

fn follows_dot(before: &[Piece]) -> bool {
    matches!(before.last(), Some(Piece::Other(text)) if text.trim_end().ends_with('.'))
}

/// `override NAME: type = value;` as a constant or a variable; gives back how many pieces it took.
fn option(pieces: &[Piece], prefix: &str, settings: &[(&'static str, Setting)], linked: &mut Linked) -> usize {
    let ends = |piece: &Piece| matches!(piece, Piece::Other(text) if text.contains(';'));
    let end = pieces.iter().position(ends).map_or(pieces.len(), |place| place + 1);
    let words: Vec<&str> = pieces[..end]
        .iter()
        .filter_map(|piece| if let Piece::Word(word) = piece { Some(*word) } else { None })
        .collect();
    let (name, kind) = (words.get(1).copied().unwrap_or_default(), words.get(2).copied().unwrap_or("f32"));
    let setting = settings.iter().find(|(setting, _)| *setting == name).map(|(_, setting)| *setting);
    let _ = match setting {
        Some(Setting::Constant(value)) => {
            writeln!(linked.text, "const {prefix}{name}: {kind} = {};", literal(kind, value))
        }
        Some(Setting::OfMember(place)) => {
            let number = format!("bitcast<f32>(table[at + {place}u])");
            let value = if kind == "bool" { format!("{number} != 0.0") } else { format!("{kind}({number})") };
            let _ = writeln!(linked.loads, "    {prefix}{name} = {value};");
            writeln!(linked.text, "var<private> {prefix}{name}: {kind};")
        }
        // Nobody sets it: it stays at its default.
        None => {
            let written: String = pieces[1..end]
                .iter()
                .map(|piece| match piece {
                    Piece::Word(text) | Piece::Other(text) => *text,
                })
                .collect();
            writeln!(linked.text, "const{}", written.replacen(name, &format!("{prefix}{name}"), 1))
        }
    };
    end
}

/// A number as WGSL writes it. f32 in the digits that give its bits again.
fn literal(kind: &str, value: f64) -> String {
    match kind {
        "bool" => (value != 0.0).to_string(),
        "u32" => format!("{}u", value as u32),
        "i32" => format!("{}i", value as i32),
        _ => format!("{:?}f", value as f32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILLING: &str = "// derivative\noverride SLOPE: f32 = 0.5;\noverride ON: bool = true;\nstruct Pair { slope: f32 }\n\
                           fn helper(x: f32) -> f32 { return SLOPE * x; }\n\
                           fn derivative(x: f32, pair: Pair) -> f32 { return helper(x) + pair.slope; }\n";

    #[test]
    fn what_a_file_declares_gets_its_prefix_and_nothing_else_does() {
        let linked = link(FILLING, "a_", &[("SLOPE", Setting::Constant(1e-8)), ("ON", Setting::Constant(0.0))]);
        for expected in [
            "const a_SLOPE: f32 = 1e-8f;",
            "const a_ON: bool = false;",
            "struct a_Pair { slope: f32 }",
            "fn a_helper(x: f32) -> f32 { return a_SLOPE * x; }",
            "fn a_derivative(x: f32, pair: a_Pair) -> f32 { return a_helper(x) + pair.slope; }",
        ] {
            assert!(linked.text.contains(expected), "{expected} in\n{}", linked.text);
        }
        assert!(linked.loads.is_empty());
    }

    #[test]
    fn an_option_of_a_member_is_a_variable_and_one_that_nobody_sets_keeps_its_default() {
        let linked = link(FILLING, "", &[("ON", Setting::OfMember(3))]);
        assert!(linked.text.contains("const SLOPE: f32 = 0.5;"), "{}", linked.text);
        assert!(linked.text.contains("var<private> ON: bool;"), "{}", linked.text);
        assert_eq!(linked.loads, "    ON = bitcast<f32>(table[at + 3u]) != 0.0;\n");
    }

    #[test]
    fn two_fillings_that_declare_the_same_names_stand_in_one_module() {
        let text = link(FILLING, "a_", &[]).text + &link(FILLING, "b_", &[]).text;
        wgpu::naga::front::wgsl::parse_str(&text).unwrap_or_else(|error| panic!("{}", error.emit_to_string(&text)));
    }
}
