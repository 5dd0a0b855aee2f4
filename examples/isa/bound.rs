//! What bounds each loss on a card: its memory or its vector units.
//!
//! From the instructions of the loop that a program spends its time in, and the rates of three
//! cards. A headroom of 2 means that the arithmetic takes half of the time in which the memory moves
//! the bytes, and that it is hidden.

use gradus::testing::Joined;

use super::compile;
use super::compiler::Compiler;
use super::inner::{Count, blocks, inner_loops, total};

/// A card: its name, RADV's name of its family, vector operations per second (compute units × 64
/// lanes × the clock of its data sheet; RDNA 3's double issue is not counted), bytes per second.
struct Card {
    name: &'static str,
    family: &'static str,
    operations: f64,
    bytes: f64,
}

const CARDS: [Card; 3] = [
    Card {
        name: "RX 7900 XTX",
        family: "gfx1100",
        operations: 96.0 * 64.0 * 2.5e9,
        bytes: 960.0e9,
    },
    Card { name: "RX 6800", family: "navi21", operations: 60.0 * 64.0 * 2.105e9, bytes: 512.0e9 },
    Card { name: "Vega 64", family: "vega10", operations: 64.0 * 64.0 * 1.546e9, bytes: 483.8e9 },
];

/// A loss that is memory-bound must leave this headroom.
pub const LEAST_HEADROOM: f64 = 1.5;

/// A program's work for four elements.
#[derive(Clone, Debug)]
pub struct Work {
    pub name: String,
    pub count: Count,
    /// Bytes that the memory must move for them.
    pub bytes: f64,
}

fn header_number(text: &str, name: &str) -> Option<u32> {
    let start = text.find(&format!("const {name}: u32 = "))? + name.len() + 14;
    text[start..].split('u').next()?.trim().parse().ok()
}

fn constant(program: &Joined, name: &str) -> f64 {
    program.constants.iter().find(|(own, _)| *own == name).map_or(0.0, |(_, value)| *value)
}

fn is_pointwise(program: &Joined) -> bool {
    program.files.contains(&"templates/pointwise/points_float.wgsl")
        && program.label.ends_with("(templates/pointwise/pointwise.wgsl)")
        && program.files.contains(&"lib/partials_tree.wgsl")
        && constant(program, "REDUCTION_NONE") == 0.0
}

/// Rows of about 4,096 cells, all in registers where the loss allows it.
fn is_rowwise(program: &Joined) -> bool {
    program.label.ends_with("(templates/rowwise/rowwise.wgsl)")
        && program.files.contains(&"templates/rowwise/rowwise_subgroups.wgsl")
        && program.files.contains(&"templates/rowwise/cells_vec4.wgsl")
        && constant(program, "WORKGROUP") == 256.0
        && constant(program, "HAS_LABELS") == 0.0
}

/// The first plain program of each loss: default options, first derivatives.
pub fn programs(names: &[String]) -> Result<Vec<Joined>, String> {
    let mut found: Vec<Joined> = Vec::new();
    for program in compile::programs(names, false)? {
        let is_known = found.iter().any(|other| other.label == program.label);
        if !is_known && (is_pointwise(&program) || is_rowwise(&program)) {
            found.push(program);
        }
    }
    Ok(found)
}

/// Without a loss: value and derivative are the two inputs.
fn without_loss(program: &Joined) -> Option<Joined> {
    let start = program.text.find("fn mse_loss(")?;
    let end = start + program.text[start..].find("\n}")?;
    let empty =
        "fn mse_loss(prediction: f32, truth: f32) -> Loss {\n    return Loss(prediction, truth);";
    let text = format!("{}{empty}{}", &program.text[..start], &program.text[end..]);
    Some(Joined { text, name: "no loss".into(), ..program.clone() })
}

/// With labels instead of dense targets, for a loss that looks at them.
fn with_labels(program: &Joined) -> Joined {
    let mut program = program.clone();
    let own = program.files.iter().filter(|file| {
        file.starts_with("losses/")
            || ["softmax_target", "softmax_shifted", "entmax_fold"]
                .iter()
                .any(|name| file.contains(name))
    });
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/");
    let looks = |file: &&str| {
        std::fs::read_to_string(format!("{folder}{file}"))
            .is_ok_and(|text| text.contains("is_label"))
    };
    if own.into_iter().any(looks) {
        for (name, value) in &mut program.constants {
            if *name == "HAS_LABELS" {
                *value = 1.0;
            }
        }
    }
    program
}

fn pointwise(compiler: &Compiler, program: &Joined) -> Result<Count, String> {
    let blocks = blocks(&compiler.assembly(program)?)?;
    // The short way, where there is one, is the first loop that stores.
    let (_, count) = inner_loops(&blocks)
        .into_iter()
        .find(|(_, count)| count.stores > 0.0)
        .ok_or("no loop stores four numbers")?;
    Ok(count.scaled(1.0 / count.stores))
}

fn rowwise(compiler: &Compiler, program: &Joined) -> Result<Count, String> {
    let held = header_number(&program.text, "VEC4S_PER_THREAD").ok_or("no VEC4S_PER_THREAD")?;
    let passes = header_number(&program.text, "PASSES").ok_or("no PASSES")?;
    let again = f64::from(passes.saturating_sub(1)).max(1.0);
    let own = blocks(&compiler.assembly(program)?)?;
    if constant(program, "ROW_IN_REGISTERS") != 0.0 && held > 1 {
        let mut shorter = program.clone();
        let header = |number: u32| format!("const VEC4S_PER_THREAD: u32 = {number}u;");
        shorter.text = shorter.text.replace(&header(held), &header(held - 1));
        let other = blocks(&compiler.assembly(&shorter)?)?;
        // The loop over rows is around everything; deeper lies the loop over further passes.
        return Ok(total(&own, 1, again).plus(total(&other, 1, again), -1.0));
    }
    let mut sum = Count::default();
    for (depth, count) in inner_loops(&own) {
        if count.loads + count.stores > 0.0 {
            sum = sum.plus(count, if depth > 2 { again } else { 1.0 });
        }
    }
    if sum.all > 0.0 { Ok(sum) } else { Err("no loop loads".into()) }
}

/// The work of a program of [`programs`].
pub fn work(compiler: &Compiler, program: &Joined) -> Result<Work, String> {
    let named = |error: String| format!("{}: {error}", program.label);
    let name = program.label.split(' ').next().unwrap_or_default().to_string();
    if is_pointwise(program) {
        let count = pointwise(compiler, program).map_err(named)?;
        return Ok(Work { name, count, bytes: 48.0 });
    }
    let program = with_labels(program);
    let labels = constant(&program, "HAS_LABELS") != 0.0;
    let count = rowwise(compiler, &program).map_err(named)?;
    Ok(Work { name, count, bytes: if labels { 32.0 } else { 48.0 } })
}

/// Time of the memory by time of the vector units.
fn headroom(work: &Work, card: &Card) -> f64 {
    (work.bytes / card.bytes) / (work.count.cycles() / card.operations)
}

/// The table of the losses on the card of a family.
pub fn table(compiler: &Compiler, family: &str, names: &[String]) -> Result<String, String> {
    let card = CARDS.iter().find(|card| card.family == family).ok_or_else(|| {
        let known: Vec<&str> = CARDS.iter().map(|card| card.family).collect();
        format!("no card of {family} is known; known: {}", known.join(", "))
    })?;
    let programs = programs(names)?;
    let empty = compile::programs(&["mse (templates/pointwise".into()], false)?;
    let empty = empty.iter().find(|program| is_pointwise(program)).and_then(without_loss);
    let empty = empty.map(|program| pointwise(compiler, &program)).transpose()?;
    let mut lines = format!(
        "{} ({family}): {:.1} T vector operations/s, {:.0} GB/s\n\
         all: instructions per four elements; loss: those beyond a loss that does nothing\n   \
         all  vector  slow    loss  cycles  bytes  headroom  bound by  loss\n",
        card.name,
        card.operations * 1e-12,
        card.bytes * 1e-9
    );
    for program in &programs {
        let work = work(compiler, program)?;
        let headroom = headroom(&work, card);
        let own = match (is_pointwise(program), &empty) {
            (true, Some(empty)) => format!("{:7.1}", work.count.all - empty.all),
            _ => format!("{:>7}", "-"),
        };
        let bound = match headroom {
            LEAST_HEADROOM.. => "memory",
            1.0.. => "memory, narrowly",
            _ => "arithmetic",
        };
        let Count { all, vector, slow, .. } = work.count;
        lines += &format!(
            "{all:6.1}  {vector:6.1}  {slow:4.1} {own}  {:6.1}  {:5}  {headroom:8.2}  {bound}  {}\n",
            work.count.cycles(),
            work.bytes,
            work.name
        );
    }
    Ok(lines)
}
