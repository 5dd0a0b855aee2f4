//! AMD's production compiler as an oracle: no program of the library uses memory in place of
//! registers, spills, leaves a SIMD with few waves, overflows the instruction cache or takes long
//! to compile. Current exceptions are listed in `examples/isa/exceptions.txt`, which may only
//! shrink.
//!
//! One program per label is compiled, for gfx1100. `GRADUS_ISA=all` compiles all programs for all
//! families in the list (half an hour on two cores). Without RADV the tests are ignored, or fail
//! with `GRADUS_REQUIRE_RADV`.

#[path = "../../examples/isa/bound.rs"]
#[allow(dead_code, reason = "the table is the example's")]
mod bound;
#[path = "../../examples/isa/compile.rs"]
mod compile;
#[path = "../../examples/isa/compiler.rs"]
#[allow(dead_code, reason = "the device's name is the example's")]
mod compiler;
#[path = "../../examples/isa/inner.rs"]
#[allow(dead_code, reason = "some counts are the example's")]
mod inner;
#[path = "../../examples/isa/limits.rs"]
mod limits;
mod spirv_tools;
#[path = "../../examples/isa/statistics.rs"]
#[allow(dead_code, reason = "the baselines are the example's")]
mod statistics;

use std::process::ExitCode;

use compiler::Compiler;
use gradus::testing::Joined;
use libtest_mimic::{Arguments, Failed, Trial};
use limits::{Exception, Limit, complaints, parse};
use statistics::{Row, Statistics};

const LIST: &str = include_str!("../../examples/isa/exceptions.txt");

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if compiler::family_of_this_process().is_none()
        && let Some(manifest) = compiler::manifest()
        && let Ok(mut again) = compiler::command_for("gfx1100", &manifest)
    {
        // A separate process: the Vulkan loader takes the driver from the environment.
        let status = again.args(std::env::args_os().skip(1)).status();
        return ExitCode::from(
            status.ok().and_then(|status| status.code()).map_or(101, |code| code as u8),
        );
    }
    let installed = compiler::manifest().is_some();
    let ignored = !installed && std::env::var_os("GRADUS_REQUIRE_RADV").is_none();
    if ignored {
        eprintln!(
            "ignored: Mesa's RADV driver is not installed (Debian: apt-get install mesa-vulkan-drivers)"
        );
    }
    let mut trials = vec![
        Trial::test("the_list_is_read_and_written", || {
            list_survives_a_round_trip().map_err(Failed::from)
        }),
        Trial::test(
            "a_group_that_became_worse_or_better_is_reported",
            changes_of_a_group_are_reported,
        ),
        Trial::test("instructions_of_inner_loops_are_counted", || {
            inner_loops_are_counted().map_err(Failed::from)
        }),
        Trial::test("a_kernel_that_spills_on_purpose_is_refused", spilling_kernel_is_refused)
            .with_ignored_flag(ignored),
        Trial::test("short_losses_take_few_instructions", short_losses_take_few_instructions)
            .with_ignored_flag(ignored),
        Trial::test("a_kernel_with_a_private_array_is_refused", private_array_is_refused)
            .with_ignored_flag(ignored),
        Trial::test("a_kernel_that_fills_the_workgroup_memory_is_refused", few_waves_are_refused)
            .with_ignored_flag(ignored),
        Trial::test("a_kernel_without_end_is_refused", long_kernel_is_refused)
            .with_ignored_flag(ignored),
    ];
    trials.push(
        Trial::test("gradus_says_that_a_null_device_cannot_compute", null_device_is_refused)
            .with_ignored_flag(ignored),
    );
    let whole = std::env::var("GRADUS_ISA").is_ok_and(|value| value == "all");
    trials.extend(spirv_tools::trials(whole));
    let own = compiler::family_of_this_process().unwrap_or_else(|| "gfx1100".into());
    let families: Vec<String> = match whole {
        true => list().map(|list| families_of(&list)).unwrap_or_default(),
        false => vec![own],
    };
    for family in families {
        let name = format!("programs_keep_the_limits_on_{family}");
        trials.push(
            Trial::test(name, move || keeps_the_limits(&family, whole)).with_ignored_flag(ignored),
        );
    }
    // Sequential: each uses all cores.
    libtest_mimic::run(&Arguments { test_threads: Some(1), ..arguments }, trials).exit_code()
}

fn list() -> Result<Vec<Exception>, String> {
    parse(LIST)
}

fn families_of(list: &[Exception]) -> Vec<String> {
    let mut families: Vec<String> = list.iter().map(|one| one.family.clone()).collect();
    families.sort();
    families.dedup();
    families
}

/// Compiles in this process, or in a child process for a family other than this one's.
fn keeps_the_limits(family: &str, whole: bool) -> Result<(), Failed> {
    if compiler::family_of_this_process().is_none_or(|own| own != family) {
        let manifest = compiler::manifest().ok_or("RADV is not installed")?;
        let mut again = compiler::command_for(family, &manifest)?;
        let name = format!("programs_keep_the_limits_on_{family}");
        let output = again.args([&name, "--exact", "--nocapture"]).output()?;
        let report =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        return if output.status.success() { Ok(()) } else { Err(report.into_owned().into()) };
    }
    let compiler = Compiler::open()?;
    let mut programs = compile::programs(&[], !whole)?;
    if compiler.has_units {
        programs.extend(compile::unit_programs(&[]));
    }
    assert!(programs.len() > 200, "only {} programs", programs.len());
    let (rows, refused) = compile::all(&compiler, &programs);
    let mut lines = complaints(family, &rows, &list()?, whole);
    lines.extend(refused.into_iter().map(|line| format!("refused: {line}")));
    let advice = "`cargo run --release --example isa -- FAMILY NAME` shows the program";
    if lines.is_empty() { Ok(()) } else { Err(format!("{}\n{advice}", lines.join("\n")).into()) }
}

fn list_survives_a_round_trip() -> Result<(), String> {
    let list = list()?;
    assert!(list.iter().any(|one| one.family == "gfx1100"), "the list has no entry of gfx1100");
    assert_eq!(parse(&limits::to_text(&list))?, list);
    assert!(parse("gfx1100 registers 1 5 huber").is_err(), "an unknown limit was read");
    assert!(parse("gfx1100 spills one 5 huber").is_err(), "a number that is none was read");
    Ok(())
}

/// This process sees only RADV's null device.
fn null_device_is_refused() -> Result<(), Failed> {
    let error = gradus::Device::gpu().err().ok_or("a null device was opened")?.to_string();
    assert!(error.contains("null device, which compiles shaders and cannot compute"), "{error}");
    assert!(error.contains("unset RADV_FORCE_FAMILY"), "{error}");
    assert_eq!(gradus::Device::auto().name(), "cpu");
    Ok(())
}

fn row(label: &str, instructions: u64, waves: u64) -> Row {
    let statistics = Statistics { instructions, waves, ..Default::default() };
    Row { label: label.into(), program: label.into(), statistics }
}

fn changes_of_a_group_are_reported() -> Result<(), Failed> {
    let entry = |limit, programs, worst| Exception {
        family: "a".into(),
        limit,
        label: "long".into(),
        programs,
        worst,
    };
    let list = [entry(Limit::Instructions, 2, 6000.0)];
    let report = |rows: &[Row], whole| complaints("a", rows, &list, whole);
    let same = [row("long", 6000, 16), row("long", 5500, 16), row("long", 10, 16)];
    assert_eq!(report(&same, true), Vec::<String>::new());
    assert_eq!(
        report(&same[..1], false),
        Vec::<String>::new(),
        "a part of the programs is no improvement"
    );
    assert!(report(&same[..1], true)[0].contains("became better"));
    assert!(report(&[], true)[0].contains("became better"));
    assert!(report(&[row("long", 6001, 16)], false)[0].contains("became worse"));
    assert!(
        report(&[row("long", 5500, 16), row("long", 5500, 16), row("long", 5500, 16)], false)[0]
            .contains("worse")
    );
    assert!(report(&[row("other", 5001, 16)], false)[0].contains("allowed is 5000"));
    assert!(report(&[row("other", 10, 7)], false)[0].contains("waves 7"));
    let nan = Row {
        statistics: Statistics { seconds: f64::NAN, waves: 16, ..Default::default() },
        ..row("other", 1, 16)
    };
    assert_eq!(report(&[nan], false).len(), 1, "NaN passes no limit");
    let few = [entry(Limit::Waves, 1, 6.0)];
    assert_eq!(complaints("a", &[row("long", 1, 6)], &few, true), Vec::<String>::new());
    assert!(complaints("a", &[row("long", 1, 5)], &few, true)[0].contains("became worse"));
    assert!(complaints("a", &[row("long", 1, 7)], &few, true)[0].contains("became better"));
    Ok(())
}

/// The limits broken by a shader body, as a compute shader with one binding.
fn limits_broken_by(body: &str) -> Result<Vec<Limit>, Failed> {
    let text = format!("@group(0) @binding(1) var<storage, read_write> data: array<f32>;\n{body}");
    let program = Joined {
        label: "broken on purpose".into(),
        name: "broken on purpose".into(),
        files: Vec::new(),
        text,
        constants: Vec::new(),
    };
    let (rows, refused) = compile::all(&Compiler::open()?, &[program]);
    assert_eq!(refused, Vec::<String>::new());
    Ok(limits::broken("gfx1100", &rows).into_iter().map(|one| one.limit).collect())
}

const HEAD: &str =
    "@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {\n";

fn spilling_kernel_is_refused() -> Result<(), Failed> {
    // 400 values loaded before a barrier and used after it: more than the 256 registers of a SIMD
    // lane.
    let loads: String =
        (0..400).map(|i| format!("let x{i} = data[id.x * 400u + {i}u];\n")).collect();
    let stores: String =
        (0..400).map(|i| format!("data[id.x * 400u + {}u] = x{i};\n", 399 - i)).collect();
    let found = limits_broken_by(&format!("{HEAD}{loads}storageBarrier();\n{stores}}}"))?;
    assert!(found.contains(&Limit::Spills) && found.contains(&Limit::Scratch), "{found:?}");
    Ok(())
}

fn private_array_is_refused() -> Result<(), Failed> {
    let body = "var own: array<f32, 512>;\nfor (var i = 0u; i < 512u; i++) { own[(i * id.x) % 512u] = data[i]; }\n\
                data[id.x] = own[id.x % 512u];\n}";
    let found = limits_broken_by(&format!("{HEAD}{body}"))?;
    assert!(found.contains(&Limit::Scratch), "{found:?}");
    Ok(())
}

fn few_waves_are_refused() -> Result<(), Failed> {
    let body = "shared_data[id.x % 8192u] = data[id.x];\nworkgroupBarrier();\ndata[id.x] = shared_data[(id.x * 7u) % 8192u];\n}";
    let found =
        limits_broken_by(&format!("var<workgroup> shared_data: array<f32, 8192>;\n{HEAD}{body}"))?;
    assert!(found.contains(&Limit::Waves), "{found:?}");
    Ok(())
}

fn long_kernel_is_refused() -> Result<(), Failed> {
    let steps: String =
        (0..3000).map(|i| format!("x = sin(x * {i}.5) + data[id.x + {i}u];\n")).collect();
    let found = limits_broken_by(&format!("{HEAD}var x = 0.0;\n{steps}data[id.x] = x;\n}}"))?;
    assert!(found.contains(&Limit::Instructions), "{found:?}");
    assert!(!found.contains(&Limit::Scratch), "{found:?}");
    Ok(())
}

/// A loop of two blocks, the second of which is jumped over, inside of another loop.
fn inner_loops_are_counted() -> Result<(), String> {
    let listing = "BB0:\n\ts_mov_b32 s0, 0\nBB1:\n\tv_mov_b32_e32 v0, 0\nBB2:\n\tv_exp_f32_e32 v1, v0 ; 00\n\
                   \ts_cbranch_scc0 BB4\nBB3:\n\tv_fmac_f32_e32 v1, v0, v0\n\tbuffer_store_b128 v[0:3], v5\n\
                   BB4:\n\ts_cbranch_scc1 BB2\nBB5:\n\ts_branch BB1\nBB6:\n\ts_endpgm\n";
    let blocks = inner::blocks(listing)?;
    let depths: Vec<usize> = blocks.iter().map(|block| block.depth).collect();
    assert_eq!(depths, [0, 1, 2, 2, 2, 1, 0]);
    let loops = inner::inner_loops(&blocks);
    let count =
        inner::Count { all: 5.0, vector: 2.0, slow: 1.0, fused: 1.0, stores: 1.0, loads: 0.0 };
    assert_eq!(loops, [(2, count)]);
    assert_eq!(count.cycles(), 5.0);
    assert_eq!(inner::total(&blocks, 1, 10.0).all, 4.0 + 10.0 * 5.0);
    assert!(inner::blocks("").is_err(), "a listing without blocks was read");
    assert!(inner::blocks("BB0:\n\ts_branch BB7\n").is_err(), "a jump led nowhere");
    Ok(())
}

/// Bounds of all instructions of four elements in the loop where a kernel spends its time; the
/// table of `cargo run --release --example isa -- gfx1100 --bound` has the rest.
const MOST_INSTRUCTIONS: [(&str, f64); 2] = [("mse", 40.0), ("huber", 40.0)];

fn short_losses_take_few_instructions() -> Result<(), Failed> {
    let compiler = Compiler::open()?;
    for (name, most) in MOST_INSTRUCTIONS {
        let label = format!("{name} (templates/pointwise");
        let programs = bound::programs(&[label])?;
        let own = programs.iter().find(|program| program.label.starts_with(&format!("{name} (")));
        let work = bound::work(&compiler, own.ok_or("the loss has no program")?)?;
        let found = work.count.all;
        assert!(found <= most, "{name}: {found} instructions per four elements, allowed {most}");
        assert!(found > 12.0, "{name}: {found} instructions cannot do it");
    }
    Ok(())
}
