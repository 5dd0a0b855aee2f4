//! Module layers: a module uses only modules of lower layers, and source files have no cyclic
//! dependencies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::source_graph::{Graph, Module, graph, sources};

/// The layers of the library, lowest first. A module belongs to the entry that is its longest path
/// prefix; it uses its own entry and those of lower layers. Two entries of one layer do not use
/// each other.
const LAYERS: &[&[&str]] = &[
    &["error"],
    &["cpu", "runtime"],
    &["catalogue", "data"],
    &["nn/activations", "nn/loss_scale", "nn/schedules"],
    &["nn/ops/matmul"],
    &["templates", "nn/optimizers"],
    &[
        "advise",
        "metrics",
        "criterion",
        "nn/embedding",
        "nn/layers/initializer",
        "nn/layers/embedding",
    ],
    &["losses", "nn/graph/op"],
    &["nn/ops"],
    &["nn/graph"],
    &["nn/layers", "nn/memory"],
    &["nn/plan", "nn/train"],
    &["nn/model"],
    // What users call on a model.
    &[
        "nn/generate",
        "nn/onnx",
        "nn/train/averaged",
        "nn/train/checkpoint",
        "nn/train/copy",
        "nn/train/stream",
    ],
    &["nn/train/evaluate_rows"],
    &["nn/train/epochs", "nn/train/fit", "nn/train/together"],
    &["nn/population", "nn/train/measured", "recommend"],
    &["nn/rates"],
    &["explain", "tune"],
    &["testing"],
    &["nn"],
];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The dependency graphs of the library and the command.
fn graphs() -> [(&'static str, Graph); 2] {
    let (lib, bin) = (src().join("lib.rs"), src().join("bin"));
    let command = bin.join("gradus").join("main.rs");
    [("src", graph(&sources(&lib, &bin))), ("src/bin/gradus", graph(&sources(&command, &lib)))]
}

/// The entry that a module belongs to, and its layer number.
fn layer(
    module: &Module,
    layers: &'static [&'static [&'static str]],
) -> Option<(&'static str, usize)> {
    let entries = layers
        .iter()
        .enumerate()
        .flat_map(|(number, layer)| layer.iter().map(move |entry| (*entry, number)));
    let holds = |entry: &str| {
        entry.split('/').zip(module).filter(|(a, b)| a == b).count() == entry.split('/').count()
    };
    entries.filter(|(entry, _)| holds(entry)).max_by_key(|(entry, _)| entry.len())
}

/// Uses of a module in the same or a higher layer, and modules without a layer.
fn breaches(graph: &Graph, layers: &'static [&'static [&'static str]]) -> Vec<String> {
    let mut found: Vec<String> = graph
        .modules
        .iter()
        .filter(|module| !module.is_empty() && layer(module, layers).is_none())
        .map(|module| format!("{} has no layer: add it to the table", module.join("/")))
        .collect();
    for edge in graph.uses.iter().filter(|edge| !edge.from.is_empty()) {
        let [from, to] = [&edge.from, &edge.to];
        if let (Some((own, own_layer)), Some((other, other_layer))) =
            (layer(from, layers), layer(to, layers))
            && own != other
            && other_layer >= own_layer
        {
            let [from, to] = [from.join("/"), to.join("/")];
            found.push(format!(
                "{from}:{}: {own} (layer {own_layer}) uses {to} (layer {other_layer})",
                edge.line
            ));
        }
    }
    found
}

/// The cycles of a graph, with a source line for each use in them.
fn circles(graph: &Graph) -> Vec<String> {
    let text =
        |module: &Module| if module.is_empty() { "the root".to_string() } else { module.join("/") };
    let mut found = Vec::new();
    for circle in graph.circles() {
        let mut lines = vec![format!("{} files in a circle:", circle.len())];
        let inside = graph
            .uses
            .iter()
            .filter(|edge| circle.contains(&edge.from) && circle.contains(&edge.to));
        lines.extend(
            inside.map(|edge| {
                format!("  {}:{} uses {}", text(&edge.from), edge.line, text(&edge.to))
            }),
        );
        found.push(lines.join("\n"));
    }
    found
}

#[test]
fn a_module_uses_only_lower_layers() {
    let [(_, library), _] = graphs();
    let breaches = breaches(&library, LAYERS);
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    for (folder, graph) in graphs() {
        assert!(graph.modules.len() > 20 && graph.uses.len() > 50, "{folder}: too little was read");
        assert!(
            graph.unresolved.is_empty(),
            "{folder} names what is not there:\n{}",
            graph.unresolved.join("\n")
        );
        let circles = circles(&graph);
        assert!(circles.is_empty(), "{folder}: {} circles\n{}", circles.len(), circles.join("\n"));
    }
}

#[test]
fn a_use_of_a_higher_layer_is_found() {
    const TABLE: &[&[&str]] = &[&["a"], &["b", "b/deep"], &["c"]];
    let files = [
        ("", "mod a; mod b; mod c; pub use c::C;"),
        ("a", "fn f() { super::b::g() }"),
        ("b", "pub fn g() { deep::f(); crate::a::f() }"),
        ("b::deep", "use crate::{a::A, C};"),
        ("c", "use crate::{a::A, b::{g, deep::f}};"),
        ("d", ""),
    ];
    let module =
        |path: &str| path.split("::").filter(|word| !word.is_empty()).map(str::to_string).collect();
    let files: BTreeMap<Module, String> =
        files.iter().map(|(path, text)| (module(path), (*text).to_string())).collect();
    assert_eq!(
        breaches(&graph(&files), TABLE),
        [
            "d has no layer: add it to the table",
            "a:1: a (layer 0) uses b (layer 1)",
            "b:1: b (layer 1) uses b/deep (layer 1)",
            "b/deep:1: b/deep (layer 1) uses c (layer 2)",
        ]
    );
}
