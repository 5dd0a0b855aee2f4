//! Selects the library's programs by label and compiles them on all cores.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use gradus::testing::{Joined, all_programs};

use super::compiler::Compiler;
use super::statistics::Row;

/// Recompilations before a program counts as slow: the first compilation on a thread also loads the
/// compiler's own code.
const TRIES: usize = 2;

/// True if only software adapters run a program: its workgroups are their vectors of eight numbers.
/// No compiler of a GPU sees it.
pub fn is_for_software(program: &Joined) -> bool {
    let eight = |(name, value): &(&str, f64)| *name == "WORKGROUP" && *value == 8.0;
    let declares = |name: &str| program.text.contains(&format!("const {name}: u32 = 8u;"));
    program.constants.iter().any(eight) || declares("WORKGROUP") || declares("LANES")
}

/// All programs for GPUs whose label contains one of the names (all without a name), each once;
/// `fast` takes the first of each label.
pub fn programs(names: &[String], fast: bool) -> Result<Vec<Joined>, String> {
    let mut all = all_programs().map_err(|error| error.to_string())?;
    all.retain(|program| !is_for_software(program));
    all.retain(|program| {
        names.is_empty() || names.iter().any(|name| program.label.contains(name.as_str()))
    });
    let mut seen = HashSet::new();
    if fast {
        all.retain(|program| seen.insert(group_of(program).to_string()));
    } else {
        all.retain(|program| {
            let constants: Vec<String> =
                program.constants.iter().map(|(name, x)| format!("{name}={x}")).collect();
            seen.insert(format!("{} {}", constants.join(" "), program.text))
        });
    }
    Ok(all)
}

/// The programs of matrix units whose label contains one of the names, for a driver that has them.
pub fn unit_programs(names: &[String]) -> Vec<Joined> {
    let is_asked = |program: &Joined| {
        names.is_empty() || names.iter().any(|name| program.label.contains(name.as_str()))
    };
    gradus::testing::unit_programs().into_iter().filter(is_asked).collect()
}

/// The label that a program is counted under. The fused small-model kernels pair each loss with an
/// optimizer by their indices in the lists: a new loss would change all of their labels.
fn group_of(program: &Joined) -> &str {
    if program.label.starts_with("whole models") { "whole models" } else { &program.label }
}

/// The rows of the programs in order, and a line for each rejected one.
pub fn all(compiler: &Compiler, programs: &[Joined]) -> (Vec<Row>, Vec<String>) {
    let found = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(program) = programs.get(index) else { break };
                    let row = one(compiler, program);
                    found
                        .lock()
                        .unwrap_or_else(|poisoned| poisoned.into_inner())
                        .push((index, row));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    found.sort_by_key(|(index, _)| *index);
    let (mut rows, mut refused) = (Vec::new(), Vec::new());
    for (_, row) in found {
        match row {
            Ok(row) => rows.push(row),
            Err(line) => refused.push(line),
        }
    }
    (rows, refused)
}

fn one(compiler: &Compiler, program: &Joined) -> Result<Row, String> {
    let compile =
        || compiler.compile(program).map_err(|error| format!("{}: {error}", program.name));
    let mut statistics = compile()?;
    for _ in 0..TRIES {
        if statistics.seconds > 1.0 {
            statistics.seconds = statistics.seconds.min(compile()?.seconds);
        }
    }
    Ok(Row { label: group_of(program).into(), program: program.name.clone(), statistics })
}
