//! Dependency graph of the source files, from the text: paths of `crate::`, `super::`, `self::` and
//! of modules in scope.
//!
//! Declaring `mod x;` is not a use. A path counts for the file of the deepest module that it names:
//! `super::Job` counts for the parent's file, even if the parent only re-exports `Job`. Names that
//! a crate's root re-exports are resolved to their original module, because every file of a crate
//! reaches `crate::Result` that way. Code compiled only for tests is skipped: modules under
//! `#[cfg(test)]`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module path without the crate: `["templates", "pointwise", "cpu"]`.
pub type Module = Vec<String>;

/// One use of a module by a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub from: Module,
    pub to: Module,
    pub line: usize,
}

/// The modules of a crate and their uses of each other, without the root.
#[derive(Debug, Default)]
pub struct Graph {
    pub modules: BTreeSet<Module>,
    pub uses: BTreeSet<Use>,
    /// Paths that do not resolve within the crate.
    pub unresolved: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    /// `::`
    Colons,
    Sign(char),
}

/// A path in the code: its segments, `*` for a glob, and its local name if it is imported.
#[derive(Clone, Debug)]
struct Reference {
    /// The enclosing inline modules.
    scope: Vec<String>,
    words: Vec<String>,
    imported_as: Option<String>,
    line: usize,
}

/// The code of one file that is compiled without tests.
#[derive(Debug, Default)]
struct Code {
    references: Vec<Reference>,
    /// Modules in separate files that only tests compile.
    test_modules: Vec<Module>,
    inline_modules: Vec<Module>,
}

/// The tokens with their line numbers; comments, strings, characters and lifetimes are skipped.
fn tokens(text: &str) -> Vec<(Token, usize)> {
    let chars: Vec<char> = text.chars().collect();
    let (mut found, mut i, mut line) = (Vec::new(), 0, 1);
    let starts = |i: usize, wanted: &str| {
        wanted.chars().enumerate().all(|(k, c)| chars.get(i + k) == Some(&c))
    };
    while i < chars.len() {
        let begin = i;
        let c = chars[i];
        if starts(i, "//") {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if starts(i, "/*") {
            let mut depth = 0;
            loop {
                if starts(i, "/*") {
                    (depth, i) = (depth + 1, i + 2);
                } else if starts(i, "*/") {
                    (depth, i) = (depth - 1, i + 2);
                } else {
                    i += 1;
                }
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
        } else if let Some(hashes) = raw_string(&chars[i..]) {
            i += hashes + if chars[i] == 'b' { 3 } else { 2 };
            let end: String =
                std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            while i < chars.len() && !starts(i, &end) {
                i += 1;
            }
            i += end.len();
        } else if c == '"' {
            i += 1;
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if c == '\'' {
            // A character ends with a quote, a lifetime does not.
            if chars.get(i + 1) == Some(&'\\') {
                i += 3;
                while i < chars.len() && chars[i] != '\'' {
                    i += 1;
                }
                i += 1;
            } else if chars.get(i + 2) == Some(&'\'') {
                i += 3;
            } else {
                i += 1;
                while i < chars.len() && (chars[i].is_alphanumeric() || chars[i] == '_') {
                    i += 1;
                }
            }
        } else if c.is_alphabetic() || c == '_' {
            while i < chars.len() && (chars[i].is_alphanumeric() || chars[i] == '_') {
                i += 1;
            }
            found.push((Token::Word(chars[begin..i].iter().collect()), line));
        } else if c.is_ascii_digit() {
            while i < chars.len() && (chars[i].is_alphanumeric() || chars[i] == '_') {
                i += 1;
            }
            found.push((Token::Sign('0'), line));
        } else if starts(i, "::") {
            i += 2;
            found.push((Token::Colons, line));
        } else {
            i += 1;
            if !c.is_whitespace() {
                found.push((Token::Sign(c), line));
            }
        }
        line += chars[begin..i.min(chars.len())].iter().filter(|&&c| c == '\n').count();
    }
    found
}

/// The number of `#` of a raw string that begins here.
fn raw_string(chars: &[char]) -> Option<usize> {
    let rest = chars.strip_prefix(&['b']).unwrap_or(chars).strip_prefix(&['r'])?;
    let hashes = rest.iter().take_while(|&&c| c == '#').count();
    (rest.get(hashes) == Some(&'"')).then_some(hashes)
}

/// Reads the tokens of a file once, from its first to its last.
struct Reader {
    tokens: Vec<(Token, usize)>,
    at: usize,
    /// The open inline modules, with the brace depth inside them.
    scope: Vec<(String, usize)>,
    depth: usize,
    code: Code,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|(token, _)| token)
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |(_, line)| *line)
    }

    fn is_sign(&self, ahead: usize, sign: char) -> bool {
        self.peek(ahead) == Some(&Token::Sign(sign))
    }

    fn word(&self, ahead: usize) -> Option<&str> {
        match self.peek(ahead) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    /// `pub(in path)` says who may look, and uses nothing.
    fn is_visibility(&self) -> bool {
        self.word(0) == Some("pub") && self.is_sign(1, '(') && self.word(2) == Some("in")
    }

    fn names(&self) -> Vec<String> {
        self.scope.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Skips past the bracket that closes the one here.
    fn skip_brackets(&mut self) {
        let mut depth = 0;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Sign('(' | '[' | '{') => depth += 1,
                Token::Sign(')' | ']' | '}') => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// Skips the item that begins here: to its semicolon or the end of its braces.
    fn skip_item(&mut self) {
        while let Some(token) = self.peek(0) {
            match token {
                Token::Sign(';') => {
                    self.at += 1;
                    return;
                }
                Token::Sign('{') => return self.skip_brackets(),
                Token::Sign('(' | '[') => self.skip_brackets(),
                _ => self.at += 1,
            }
        }
    }

    fn read(mut self) -> Code {
        while self.at < self.tokens.len() {
            if self.is_sign(0, '#') && (self.is_sign(1, '[') || self.is_sign(1, '!')) {
                self.attribute();
            } else if self.is_visibility() {
                self.at += 1;
                self.skip_brackets();
            } else if self.word(0) == Some("use") {
                self.at += 1;
                self.import(&[]);
            } else if self.word(0) == Some("mod") && self.word(1).is_some() && self.is_sign(2, '{')
            {
                let name = self.word(1).unwrap_or_default().to_string();
                self.at += 3;
                self.depth += 1;
                self.scope.push((name, self.depth));
                let module = self.names();
                self.code.inline_modules.push(module);
            } else if self.word(0).is_some() {
                self.path();
            } else {
                if self.is_sign(0, '{') {
                    self.depth += 1;
                } else if self.is_sign(0, '}') {
                    if self.scope.last().is_some_and(|(_, depth)| *depth == self.depth) {
                        self.scope.pop();
                    }
                    self.depth = self.depth.saturating_sub(1);
                }
                self.at += 1;
            }
        }
        self.code
    }

    /// An attribute; the item under `#[cfg(test)]` is skipped.
    fn attribute(&mut self) {
        let start = self.at;
        while !self.is_sign(0, '[') {
            self.at += 1;
        }
        self.skip_brackets();
        let words: Vec<&str> = (start..self.at)
            .filter_map(|i| match &self.tokens[i].0 {
                Token::Word(word) => Some(word.as_str()),
                _ => None,
            })
            .collect();
        if words != ["cfg", "test"] {
            return;
        }
        while self.is_sign(0, '#') {
            self.at += 1;
            self.skip_brackets();
        }
        let item =
            (0..8).find(|&ahead| self.word(ahead) == Some("mod") && self.is_sign(ahead + 2, ';'));
        let ends_before =
            |ahead: usize| (0..ahead).any(|i| self.is_sign(i, ';') || self.is_sign(i, '{'));
        if let Some(ahead) = item.filter(|&ahead| !ends_before(ahead)) {
            let mut module = self.names();
            module.push(self.word(ahead + 1).unwrap_or_default().to_string());
            self.code.test_modules.push(module);
        }
        self.skip_item();
    }

    /// A tree of imports after `prefix`, to the end of the branch.
    fn import(&mut self, prefix: &[String]) {
        let (mut words, line) = (prefix.to_vec(), self.line());
        loop {
            if self.is_sign(0, '{') {
                self.at += 1;
                while self.at < self.tokens.len() && !self.is_sign(0, '}') {
                    self.import(&words);
                    if self.is_sign(0, ',') {
                        self.at += 1;
                    }
                }
                self.at += 1;
                return;
            }
            if self.is_sign(0, '*') {
                self.at += 1;
                words.push("*".into());
                return self.found(words, None, line);
            }
            match self.word(0).map(str::to_string) {
                // `use super::{self, Job}` imports the module.
                Some(word) if word == "self" && !words.is_empty() => {}
                Some(word) => words.push(word),
                None if self.peek(0) == Some(&Token::Colons) => {}
                // `$crate`
                None if self.is_sign(0, '$') => {}
                None => return,
            }
            if self.peek(0) != Some(&Token::Colons) {
                self.at += 1;
            }
            if self.peek(0) == Some(&Token::Colons) {
                self.at += 1;
                continue;
            }
            if self.is_sign(0, ',')
                || self.is_sign(0, ';')
                || self.is_sign(0, '}')
                || self.word(0) == Some("as")
            {
                let mut name = words.last().cloned();
                if self.word(0) == Some("as") {
                    name = self.word(1).map(str::to_string);
                    self.at += 2;
                }
                return self.found(words, name, line);
            }
        }
    }

    /// A path in the code, or a single word.
    fn path(&mut self) {
        let line = self.line();
        let mut words = vec![self.word(0).unwrap_or_default().to_string()];
        self.at += 1;
        while self.peek(0) == Some(&Token::Colons) && self.word(1).is_some() {
            words.push(self.word(1).unwrap_or_default().to_string());
            self.at += 2;
        }
        if words.len() > 1 {
            self.found(words, None, line);
        }
    }

    fn found(&mut self, words: Vec<String>, imported_as: Option<String>, line: usize) {
        let scope = self.names();
        self.code.references.push(Reference { scope, words, imported_as, line });
    }
}

fn read(text: &str) -> Code {
    Reader { tokens: tokens(text), at: 0, scope: Vec::new(), depth: 0, code: Code::default() }
        .read()
}

/// The absolute path of a reference, if it is within this crate.
fn absolute(
    reference: &Reference,
    file: &Module,
    known: &BTreeSet<Module>,
    imports: &BTreeMap<(Module, String), Module>,
) -> Option<Module> {
    let here: Module = file.iter().chain(&reference.scope).cloned().collect();
    let mut words = reference.words.iter().peekable();
    let first = words.next()?;
    let mut path = match first.as_str() {
        "crate" => Vec::new(),
        "self" => here,
        "super" => here[..here.len().checked_sub(1)?].to_vec(),
        name => {
            let child: Module = here.iter().cloned().chain([name.to_string()]).collect();
            match imports.get(&(here, name.to_string())) {
                Some(module) => module.clone(),
                None if known.contains(&child) => child,
                None => return None,
            }
        }
    };
    while words.peek().is_some_and(|word| *word == "super") {
        words.next();
        path.pop()?;
    }
    path.extend(words.cloned());
    Some(path)
}

/// The graph of a crate from the text of each of its modules, the root under the empty path.
pub fn graph(files: &BTreeMap<Module, String>) -> Graph {
    let mut codes: BTreeMap<&Module, Code> =
        files.iter().map(|(module, text)| (module, read(text))).collect();
    let below =
        |module: &Module, list: &[Module]| list.iter().any(|start| module.starts_with(start));
    let of_tests: Vec<Module> = codes
        .iter()
        .flat_map(|(file, code)| {
            code.test_modules.iter().map(move |module| [file.as_slice(), module].concat())
        })
        .collect();
    codes.retain(|module, _| !below(module, &of_tests));
    // Maps each module path, including inline ones, to the file that holds it.
    let mut holders: BTreeMap<Module, Module> = BTreeMap::new();
    for (file, code) in &codes {
        holders.insert((*file).clone(), (*file).clone());
        for inline in &code.inline_modules {
            holders.insert([file.as_slice(), inline].concat(), (*file).clone());
        }
    }
    let known: BTreeSet<Module> = holders.keys().cloned().collect();
    // Modules imported by name: `use crate::templates;`. Two passes, for imports through other
    // imports.
    let mut imports: BTreeMap<(Module, String), Module> = BTreeMap::new();
    for _ in 0..2 {
        for (file, code) in &codes {
            for reference in &code.references {
                let Some(name) = &reference.imported_as else { continue };
                let Some(path) = absolute(reference, file, &known, &imports) else { continue };
                if known.contains(&path) && !path.is_empty() {
                    let here = file.iter().chain(&reference.scope).cloned().collect();
                    imports.insert((here, name.clone()), path);
                }
            }
        }
    }
    let mut graph = Graph {
        modules: codes.keys().map(|module| (*module).clone()).collect(),
        ..Graph::default()
    };
    let root = Module::new();
    for (file, code) in &codes {
        for reference in &code.references {
            let Some(mut path) = absolute(reference, file, &known, &imports) else { continue };
            let mut deepest = deepest(&path, &known);
            // A name that the root re-exports resolves to its original module.
            while deepest.is_empty()
                && **file != root
                && path.first().is_some_and(|name| name != "*")
            {
                let name = &path[0];
                let given = codes.get(&root).and_then(|code| {
                    code.references
                        .iter()
                        .find(|at| at.scope.is_empty() && at.imported_as.as_ref() == Some(name))
                });
                let given = given.and_then(|given| absolute(given, &root, &known, &imports));
                let Some(given) = given.filter(|given| *given != path) else { break };
                path = given.into_iter().chain(path.into_iter().skip(1)).collect();
                deepest = self::deepest(&path, &known);
            }
            // An imported module counts as used where one of its paths is used.
            if reference.imported_as.is_some() && deepest == path {
                continue;
            }
            if deepest.is_empty() && **file != root && !file.is_empty() {
                let text = reference.words.join("::");
                graph.unresolved.push(format!("{}:{}: {text}", file.join("/"), reference.line));
            }
            let to = &holders[&deepest];
            if to != *file {
                graph.uses.insert(Use {
                    from: (*file).clone(),
                    to: to.clone(),
                    line: reference.line,
                });
            }
        }
    }
    graph
}

/// The longest prefix of a path that is a module.
fn deepest(path: &Module, known: &BTreeSet<Module>) -> Module {
    (0..=path.len())
        .rev()
        .map(|length| path[..length].to_vec())
        .find(|start| known.contains(start))
        .unwrap_or_default()
}

impl Graph {
    /// Cycles: strongly connected components of more than one file.
    pub fn circles(&self) -> Vec<BTreeSet<Module>> {
        let reach = |start: &Module, forwards: bool| {
            let (mut seen, mut open) = (BTreeSet::from([start.clone()]), vec![start.clone()]);
            while let Some(module) = open.pop() {
                for edge in &self.uses {
                    let (from, to) =
                        if forwards { (&edge.from, &edge.to) } else { (&edge.to, &edge.from) };
                    if *from == module && seen.insert(to.clone()) {
                        open.push(to.clone());
                    }
                }
            }
            seen
        };
        let (mut circles, mut done) = (Vec::new(), BTreeSet::new());
        for module in &self.modules {
            if done.contains(module) {
                continue;
            }
            let circle: BTreeSet<Module> = &reach(module, true) & &reach(module, false);
            done.extend(circle.iter().cloned());
            if circle.len() > 1 {
                circles.push(circle);
            }
        }
        circles
    }
}

/// The text of each module of a crate: the root's file, and the files below the root's folder,
/// without other crates there.
pub fn sources(root: &Path, others: &Path) -> BTreeMap<Module, String> {
    fn collect(folder: &Path, others: &Path, found: &mut Vec<PathBuf>) {
        let entries =
            fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries {
            let path = entry.expect("it can be listed").path();
            if path == others {
                continue;
            }
            if path.is_dir() {
                collect(&path, others, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    let folder = root.parent().expect("a file lies in a folder");
    let mut paths = Vec::new();
    collect(folder, others, &mut paths);
    let text = |path: &Path| {
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let module = |path: &Path| {
        let relative = path.strip_prefix(folder).expect("it lies below").with_extension("");
        let mut words: Module =
            relative.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        if words.last().is_some_and(|word| word == "mod") || path == root {
            words.pop();
        }
        words
    };
    paths.iter().map(|path| (module(path), text(path))).collect()
}

mod tests {
    use super::*;

    fn module(path: &str) -> Module {
        path.split("::").filter(|word| !word.is_empty()).map(str::to_string).collect()
    }

    fn graph_of(files: &[(&str, &str)]) -> Graph {
        graph(&files.iter().map(|(path, text)| (module(path), (*text).to_string())).collect())
    }

    fn used(files: &[(&str, &str)], from: &str) -> Vec<String> {
        let graph = graph_of(files);
        assert!(graph.unresolved.is_empty(), "{:?}", graph.unresolved);
        graph
            .uses
            .iter()
            .filter(|edge| edge.from == module(from))
            .map(|edge| edge.to.join("::"))
            .collect()
    }

    #[test]
    fn a_circle_through_super_is_found() {
        let files = [
            ("", "mod a;"),
            ("a", "mod b;\npub struct A;\nfn f() { b::g() }"),
            ("a::b", "use super::A;"),
        ];
        assert_eq!(graph_of(&files).circles(), [BTreeSet::from([module("a"), module("a::b")])]);
        // Without the call only the declaration remains, which is not a use.
        let files = [("", "mod a;"), ("a", "mod b;\npub struct A;"), ("a::b", "use super::A;")];
        assert!(graph_of(&files).circles().is_empty());
    }

    #[test]
    fn a_circle_through_a_grouped_use_of_several_lines_is_found() {
        let files = [
            ("", "mod a; mod b; mod c;"),
            ("a", "use crate::{\n    b::{self, B},\n};"),
            ("b", "pub struct B;\nfn f(c: crate::c::C) {}"),
            ("c", "use super::{\n    a::{\n        A as First,\n    },\n};"),
        ];
        assert_eq!(
            graph_of(&files).circles(),
            [BTreeSet::from([module("a"), module("b"), module("c")])]
        );
    }

    #[test]
    fn a_circle_through_self_and_an_imported_module_is_found() {
        let files = [
            ("", "mod a;"),
            ("a", "mod b; mod c; fn f() { self::b::g() }"),
            ("a::b", "use super::c as other;\nfn g() { other::h() }"),
            ("a::c", "fn h() { super::super::a::f() }"),
        ];
        assert_eq!(graph_of(&files).circles().len(), 1);
        assert_eq!(graph_of(&files).circles()[0].len(), 3);
    }

    #[test]
    fn a_path_counts_for_the_deepest_module_that_it_names() {
        let files = [
            ("", "mod a; mod d; pub use a::b::B; pub use a::Facade;"),
            ("a", "pub mod b; pub use b::Facade;"),
            ("a::b", "pub struct B; pub struct Facade;"),
            (
                "d",
                "use crate::a::b::B as One;\nuse crate::B;\nfn f() -> crate::Facade { let x: &'static str = \"crate::x\"; 'c' }",
            ),
        ];
        assert_eq!(used(&files, "d"), ["a", "a::b", "a::b"]);
    }

    #[test]
    fn comments_strings_and_tests_are_no_uses_and_inline_modules_are_their_file() {
        let files = [
            ("", "mod a; mod b;"),
            (
                "a",
                "// crate::b::B\n/* crate::b::B */ const S: &str = r#\"crate::b::B\"#;\n#[cfg(test)]\nmod tests { use crate::b::B; }\n\
                 #[cfg(test)]\nmod more;\nmod inner { use super::A; pub(super) struct C; }\npub(crate) struct A;",
            ),
            ("a::more", "use crate::b::B;"),
            ("b", "use crate::a::inner::C;"),
        ];
        assert!(used(&files, "a").is_empty());
        assert_eq!(used(&files, "b"), ["a"]);
        assert!(!graph_of(&files).modules.contains(&module("a::more")));
    }

    #[test]
    fn a_visibility_is_no_use() {
        let files = [
            ("", "mod a;"),
            ("a", "mod b; fn f() { b::g() }"),
            ("a::b", "pub(in crate::a) fn g() {}"),
        ];
        assert!(used(&files, "a::b").is_empty());
        assert!(graph_of(&files).circles().is_empty());
    }

    #[test]
    fn a_path_of_the_crate_that_names_nothing_is_reported() {
        let files = [("", "mod a;"), ("a", "use crate::Missing;")];
        assert_eq!(graph_of(&files).unresolved, ["a:1: crate::Missing"]);
    }
}
