//! Every program that the library can build is valid, translates to the four languages of the
//! drivers, and stays within the limits of every WebGPU device.

use std::collections::BTreeSet;
use std::path::Path;

use gradus::testing::{Joined, all_programs};
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

#[test]
fn every_program_is_valid_and_translates_to_all_four_languages() {
    let mut failures = Vec::new();
    for program in programs() {
        if let Err(error) = resolved(&program).and_then(|(module, info)| translate(&module, &info))
        {
            failures.push(format!("{}: {error}", program.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_program_that_is_not_valid_is_refused() {
    let mut program = programs().remove(0);
    program.text.push_str("fn broken() -> f32 { return 1u; }\n");
    assert!(resolved(&program).is_err());
}

#[test]
fn every_program_has_one_entry_point_and_few_enough_bindings() {
    for program in programs() {
        let (module, _) = resolved(&program).expect("it is valid");
        assert_eq!(module.entry_points.len(), 1, "{}", program.name);
        let storage = module.global_variables.iter();
        let storage =
            storage.filter(|(_, v)| matches!(v.space, naga::AddressSpace::Storage { .. })).count();
        // WebGPU's guaranteed `maxStorageBuffersPerShaderStage`.
        assert!(storage <= 8, "{}: {storage} storage buffers", program.name);
        let lanes: u32 = module.entry_points[0].workgroup_size.iter().product();
        // Rows of more than 8192 columns use the adapter's maximum (`rowwise::Variant`).
        let most = if program.name.contains("WORKGROUP=1024") { 1024 } else { 256 };
        assert!((1..=most).contains(&lanes), "{}: {lanes} lanes", program.name);
    }
}

/// wgpu does not check it, and only some drivers reject it.
#[test]
fn every_program_fits_the_workgroup_memory_of_every_device() {
    for program in programs() {
        let (module, _) = resolved(&program).expect("it is valid");
        let shared = module
            .global_variables
            .iter()
            .filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup);
        let bytes: u32 = shared.map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx())).sum();
        // The largest matmul tile is only used if the adapter has room for it (`best_tile`).
        let limit = if program.name.contains("256u 128u 128u") { 32 << 10 } else { 16 << 10 };
        assert!(bytes <= limit, "{}: {bytes} bytes", program.name);
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
    let mut used: BTreeSet<String> =
        programs().iter().flat_map(|p| &p.files).map(|file| (*file).to_string()).collect();
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
