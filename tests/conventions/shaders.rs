//! Every program that the library can build is valid, translates to the four languages of the
//! drivers, and stays within the limits of every WebGPU device.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use gradus::testing::{Joined, all_programs, unit_programs};
use naga::back::{glsl, hlsl, msl, spv};
use naga::valid::{
    Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator,
};

fn programs() -> Vec<Joined> {
    let programs = all_programs().expect("the lists hold what they accept");
    assert!(programs.len() > 100, "only {} programs", programs.len());
    programs
}

fn validate(module: &naga::Module) -> Result<ModuleInfo, String> {
    // `unpack2x16float` is standard WGSL, supported by all of Vulkan, Metal and DX12, but naga
    // requires a capability for it.
    let capabilities = Capabilities::SUBGROUP | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    validator
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all());
    validator.validate(module).map_err(|error| error.emit_to_string("the program"))
}

/// The module with its constants set, as passed to the driver's compiler.
fn resolved(program: &Joined) -> Result<(naga::Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(&program.text)
        .map_err(|error| error.emit_to_string(&program.text))?;
    let info = validate(&module)?;
    let constants =
        program.constants.iter().map(|(name, value)| ((*name).to_string(), *value)).collect();
    let (module, info) =
        naga::back::pipeline_constants::process_overrides(&module, &info, None, &constants)
            .map_err(|error| error.to_string())?;
    Ok((module.into_owned(), info.into_owned()))
}

fn translate(module: &naga::Module, info: &ModuleInfo) -> Result<(), String> {
    spv::write_vec(
        module,
        info,
        &spv::Options { lang_version: (1, 3), ..Default::default() },
        None,
    )
    .map_err(|error| format!("SPIR-V: {error}"))?;
    let options =
        msl::Options { lang_version: (2, 4), fake_missing_bindings: true, ..Default::default() };
    msl::write_string(module, info, &options, &msl::PipelineOptions::default())
        .map_err(|error| format!("MSL: {error}"))?;
    let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, ..Default::default() };
    hlsl::Writer::new(&mut String::new(), &options, &hlsl::PipelineOptions::default())
        .write(module, info, None)
        .map_err(|error| format!("HLSL: {error}"))?;
    let options = glsl::Options { version: glsl::Version::Desktop(450), ..Default::default() };
    let entry_point =
        module.entry_points.first().map(|entry| entry.name.clone()).unwrap_or_default();
    let pipeline = glsl::PipelineOptions {
        shader_stage: naga::ShaderStage::Compute,
        entry_point,
        multiview: None,
    };
    glsl::Writer::new(&mut String::new(), module, info, &options, &pipeline, Default::default())
        .and_then(|mut writer| writer.write())
        .map_err(|error| format!("GLSL: {error}"))?;
    Ok(())
}

/// The facts about a program that the tests below look at.
struct Facts {
    name: String,
    entry_points: usize,
    storage_buffers: usize,
    lanes: u32,
    /// Bytes of workgroup memory.
    shared: u32,
    translated: Result<(), String>,
}

fn facts(program: &Joined) -> Result<Facts, String> {
    let named = |error: String| format!("{}: {error}", program.name);
    let (module, info) = resolved(program).map_err(named)?;
    let of = |space: fn(&naga::AddressSpace) -> bool| {
        module.global_variables.iter().map(|(_, v)| v).filter(move |v| space(&v.space))
    };
    let shared = of(|space| *space == naga::AddressSpace::WorkGroup);
    Ok(Facts {
        name: program.name.clone(),
        entry_points: module.entry_points.len(),
        storage_buffers: of(|space| matches!(space, naga::AddressSpace::Storage { .. })).count(),
        lanes: module.entry_points.iter().flat_map(|entry| entry.workgroup_size).product(),
        shared: shared.map(|v| module.types[v.ty].inner.size(module.to_ctx())).sum(),
        translated: translate(&module, &info).map_err(named),
    })
}

/// All programs, compiled once for all tests on all cores.
fn all_facts() -> &'static [Result<Facts, String>] {
    static FACTS: LazyLock<Vec<Result<Facts, String>>> = LazyLock::new(|| {
        let programs = programs();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let part = programs.len().div_ceil(threads);
        std::thread::scope(|scope| {
            let parts: Vec<_> = programs
                .chunks(part)
                .map(|part| scope.spawn(|| part.iter().map(facts).collect::<Vec<_>>()))
                .collect();
            parts.into_iter().flat_map(|part| part.join().expect("no check panics")).collect()
        })
    });
    &FACTS
}

fn valid() -> impl Iterator<Item = &'static Facts> {
    all_facts().iter().map(|facts| facts.as_ref().unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn every_program_is_valid_and_translates_to_all_four_languages() {
    let failures: Vec<&str> = all_facts()
        .iter()
        .filter_map(|facts| match facts {
            Err(error) => Some(&**error),
            Ok(facts) => facts.translated.as_ref().err().map(|error| &**error),
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_program_that_is_not_valid_is_refused() {
    let mut program = programs().remove(0);
    program.text.push_str("fn broken() -> f32 { return 1u; }\n");
    assert!(facts(&program).is_err());
}

#[test]
fn every_program_has_one_entry_point_and_few_enough_bindings() {
    for Facts { name, entry_points, storage_buffers, lanes, .. } in valid() {
        assert_eq!(*entry_points, 1, "{name}");
        // WebGPU's guaranteed `maxStorageBuffersPerShaderStage`.
        assert!(*storage_buffers <= 8, "{name}: {storage_buffers} storage buffers");
        // Rows of more than 8192 columns use the adapter's maximum (`rowwise::Variant`).
        let most = if name.contains("WORKGROUP=1024") { 1024 } else { 256 };
        assert!((1..=most).contains(lanes), "{name}: {lanes} lanes");
    }
}

/// wgpu does not check it, and only some drivers reject it.
#[test]
fn every_program_fits_the_workgroup_memory_of_every_device() {
    for Facts { name, shared, .. } in valid() {
        // The largest matmul tile is only used if the adapter has room for it (`best_tile`).
        let limit = if name.contains("256u 128u 128u") { 32 << 10 } else { 16 << 10 };
        assert!(*shared <= limit, "{name}: {shared} bytes");
    }
}

fn files_under(folder: &Path, found: &mut BTreeSet<String>, root: &Path) {
    for entry in std::fs::read_dir(folder).expect("the folder of shaders is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            files_under(&path, found, root);
        } else {
            let relative = path
                .strip_prefix(root)
                .expect("it lies below")
                .to_string_lossy()
                .replace('\\', "/");
            found.insert(relative);
        }
    }
}

#[test]
fn every_shader_file_is_part_of_a_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut there = BTreeSet::new();
    files_under(&root, &mut there, &root);
    let mut used: BTreeSet<String> = programs()
        .iter()
        .chain(&unit_programs())
        .flat_map(|p| &p.files)
        .map(|file| (*file).to_string())
        .collect();
    // It defines no functions: the row-wise kernels compute softmax.
    used.insert("activations/softmax.wgsl".into());
    let orphans: Vec<_> = there.difference(&used).collect();
    assert!(orphans.is_empty(), "no program uses {orphans:?}");
}

/// For use with other compilers: one file per program in the target folder for tests, its constants
/// in the first line.
#[test]
fn every_program_is_written_down_for_other_compilers() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the target's folder can be written");
    for (number, program) in programs().iter().enumerate() {
        let constants: Vec<String> =
            program.constants.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let text = format!(
            "// {}\n// {}\n{}",
            constants.join(" "),
            program.name.replace('\n', " "),
            program.text
        );
        std::fs::write(folder.join(format!("{number:04}.wgsl")), text)
            .expect("the target's folder can be written");
    }
}
