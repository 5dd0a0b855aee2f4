//! The SPIR-V of every program through Khronos' validator and optimizer, and the GLSL through its
//! reference compiler, where they are installed (Debian: spirv-tools, glslang-tools).

use std::io::Write as _;
use std::process::{Command, Stdio};

use gradus::testing::Joined;
use libtest_mimic::{Failed, Trial};
use naga::back::glsl;
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};

use crate::{compile, compiler};

fn is_installed(tool: &str) -> bool {
    Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// One program per label, or all of them.
pub fn trials(whole: bool) -> Vec<Trial> {
    let trial = |name: &str, tool: &'static str, check: fn(bool) -> Result<(), Failed>| {
        let ignored = !is_installed(tool);
        if ignored {
            eprintln!("ignored: {tool} is not installed");
        }
        Trial::test(name, move || check(whole)).with_ignored_flag(ignored)
    };
    vec![
        trial("spirv_val_accepts_every_program", "spirv-val", validates),
        trial("spirv_opt_rewrites_every_program", "spirv-opt", optimizes),
        trial("glslang_compiles_every_program", "glslangValidator", compiles_as_glsl),
        trial("spirv_val_refuses_a_broken_program", "spirv-val", broken_is_refused),
    ]
}

/// Runs a tool with bytes on its standard input; its output, or what it says against them.
fn run(tool: &str, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let mut child = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{tool}: {error}"))?;
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    let output = std::thread::scope(|scope| {
        // A tool that gives up early closes its end: its own message says why.
        scope.spawn(move || {
            let _ = stdin.write_all(input);
        });
        child.wait_with_output()
    });
    let output = output.map_err(|error| format!("{tool}: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{tool}: {}", String::from_utf8_lossy(&said).trim()))
}

const VALIDATES: [&str; 3] = ["--target-env", "vulkan1.3", "-"];

fn bytes(program: &Joined) -> Result<Vec<u8>, String> {
    let (words, _) = compiler::spirv(program)?;
    Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

/// Checks programs one after another; all complaints.
fn each(whole: bool, check: impl Fn(&Joined) -> Result<(), String>) -> Result<(), Failed> {
    let programs = compile::programs(&[], !whole)?;
    assert!(programs.len() > 200, "only {} programs", programs.len());
    let complaints: Vec<String> = programs
        .iter()
        .filter_map(|program| {
            check(program).err().map(|error| format!("{}: {error}", program.name))
        })
        .collect();
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n").into()) }
}

fn validates(whole: bool) -> Result<(), Failed> {
    each(whole, |program| run("spirv-val", &VALIDATES, &bytes(program)?).map(drop))
}

/// The optimizer's passes make assumptions of their own about the code; what they write must be
/// valid again.
fn optimizes(whole: bool) -> Result<(), Failed> {
    each(whole, |program| {
        let arguments = ["--target-env=vulkan1.3", "-O", "-", "-o", "-"];
        let optimized = run("spirv-opt", &arguments, &bytes(program)?)?;
        run("spirv-val", &VALIDATES, &optimized).map(drop)
    })
}

fn compiles_as_glsl(whole: bool) -> Result<(), Failed> {
    each(whole, |program| {
        let text = glsl_of(program)?;
        run("glslangValidator", &["--stdin", "-S", "comp"], text.as_bytes()).map(drop)
    })
}

fn glsl_of(program: &Joined) -> Result<String, String> {
    let module = naga::front::wgsl::parse_str(&program.text)
        .map_err(|error| error.emit_to_string(&program.text))?;
    let capabilities = Capabilities::SUBGROUP | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    validator
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all());
    let info = validator.validate(&module).map_err(|error| error.emit_to_string(&program.text))?;
    let constants =
        program.constants.iter().map(|(name, value)| ((*name).to_string(), *value)).collect();
    let (module, info) =
        naga::back::pipeline_constants::process_overrides(&module, &info, None, &constants)
            .map_err(|error| error.to_string())?;
    let options = glsl::Options { version: glsl::Version::Desktop(450), ..Default::default() };
    let entry_point =
        module.entry_points.first().map(|entry| entry.name.clone()).unwrap_or_default();
    let pipeline = glsl::PipelineOptions {
        shader_stage: naga::ShaderStage::Compute,
        entry_point,
        multiview: None,
    };
    let mut text = String::new();
    glsl::Writer::new(&mut text, &module, &info, &options, &pipeline, Default::default())
        .and_then(|mut writer| writer.write())
        .map_err(|error| format!("GLSL: {error}"))?;
    Ok(text)
}

fn broken_is_refused(_: bool) -> Result<(), Failed> {
    let programs = compile::programs(&["huber".into()], true)?;
    let mut bytes = bytes(programs.first().ok_or("huber has no program")?)?;
    run("spirv-val", &VALIDATES, &bytes)?;
    // The last word ends the last function.
    bytes.truncate(bytes.len() - 4);
    let said = run("spirv-val", &VALIDATES, &bytes).err().ok_or("it was accepted")?;
    assert!(said.contains("Missing OpFunctionEnd"), "{said}");
    Ok(())
}
