//! Programs of an optimizer step.

use crate::nn::optimizers::clip::Clip;
use crate::nn::optimizers::link;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::step::GradientTransform;
use crate::nn::optimizers::update::job::EACH;
use crate::runtime::kernel::Program;
use crate::runtime::wgsl::File;

pub(crate) const NUMBERS: File = crate::runtime::wgsl::shader!("lib/numbers.wgsl");
pub(crate) const CLIP: File = crate::runtime::wgsl::shader!("templates/optimizer/clip.wgsl");
pub(crate) const GRADIENT_TRANSFORM: File =
    crate::runtime::wgsl::shader!("templates/optimizer/gradient_transform.wgsl");
pub(crate) const STEP: File =
    crate::runtime::wgsl::shader!("templates/optimizer/optimizer_step.wgsl");
pub(crate) const PARAMS: File =
    crate::runtime::wgsl::shader!("templates/optimizer/optimizer_params.wgsl");
pub(crate) const OPTIMIZER: File =
    crate::runtime::wgsl::shader!("templates/optimizer/optimizer.wgsl");
pub(crate) const PENALTY: File = crate::runtime::wgsl::shader!("templates/optimizer/penalty.wgsl");
pub(crate) const GRADIENT_NORM: File =
    crate::runtime::wgsl::shader!("templates/optimizer/gradient_norm.wgsl");
pub(crate) const CLIP_FACTOR: File =
    crate::runtime::wgsl::shader!("templates/optimizer/clip_factor.wgsl");
pub(crate) const AVERAGE: File = crate::runtime::wgsl::shader!("templates/optimizer/average.wgsl");
pub(crate) const TENSOR_TRANSFORM: File =
    crate::runtime::wgsl::shader!("templates/optimizer/tensor_transform.wgsl");
pub(crate) const TENSOR_MEANS: File =
    crate::runtime::wgsl::shader!("templates/optimizer/tensor_means.wgsl");
pub(crate) const TENSOR_MEAN_OF_ROWS: File =
    crate::runtime::wgsl::shader!("templates/optimizer/tensor_mean_of_rows.wgsl");
pub(crate) const TENSOR_DIRECTION: File =
    crate::runtime::wgsl::shader!("templates/optimizer/tensor_direction.wgsl");
pub(crate) const TENSOR_NORMS: File =
    crate::runtime::wgsl::shader!("templates/optimizer/tensor_norms.wgsl");
pub(crate) const TENSOR_NORMS_JOIN: File =
    crate::runtime::wgsl::shader!("templates/optimizer/tensor_norms_join.wgsl");
pub(crate) const TENSOR_APPLY_UPDATE: File =
    crate::runtime::wgsl::shader!("templates/optimizer/tensor_apply_update.wgsl");
pub(crate) const COMBINE: File = crate::runtime::wgsl::shader!("templates/optimizer/combine.wgsl");

pub(crate) fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

pub(crate) fn program(label: &str, files: &[File], constants: &[(&'static str, f64)]) -> Program {
    Program {
        label: label.into(),
        header: String::new(),
        files: files.to_vec(),
        constants: constants.to_vec(),
    }
}

/// Clip mode, `CLIPS` of templates/optimizer/gradient_transform.
pub(crate) fn clip_mode(clip: Option<Clip>) -> f64 {
    match clip {
        None => 0.0,
        Some(Clip::GlobalNorm { .. }) => 1.0,
        Some(Clip::Value(_)) => 2.0,
        Some(Clip::Norm(_)) => 3.0,
    }
}

pub(crate) fn transforms(gradient_transform: &GradientTransform) -> [(&'static str, f64); 2] {
    [
        ("CLIPS", clip_mode(gradient_transform.clip)),
        ("SKIPS", flag(gradient_transform.skip_non_finite)),
    ]
}

/// Links kernel templates with their common dependencies.
pub(crate) fn template_program(
    label: &str,
    file: File,
    more: &[(&'static str, f64)],
    gradient_transform: &GradientTransform,
) -> Program {
    let mut constants = transforms(gradient_transform).to_vec();
    constants.extend(more);
    program(label, &[file, STEP, PARAMS, PENALTY, GRADIENT_TRANSFORM, NUMBERS], &constants)
}

/// Program of an optimizer step for elementwise rules.
pub(crate) fn optimizer_program(
    optimizer: &dyn Optimizer,
    gradient_transform: &GradientTransform,
) -> Program {
    let mut program = template_program(
        optimizer.name(),
        OPTIMIZER,
        &[("STATES", optimizer.states() as f64)],
        gradient_transform,
    );
    link(&mut program, optimizer);
    program
}

pub(crate) fn direction_program(
    optimizer: &dyn Optimizer,
    gradient_transform: &GradientTransform,
    lanes: u32,
) -> Program {
    let factored = optimizer.per_tensor().is_some_and(|per_tensor| per_tensor.factored);
    let own = [
        ("WORKGROUP", lanes.into()),
        ("STATES", optimizer.states() as f64),
        ("FACTORED", flag(factored)),
    ];
    let mut program =
        template_program(optimizer.name(), TENSOR_DIRECTION, &own, gradient_transform);
    link(&mut program, optimizer);
    program
}

pub(crate) fn apply_update_program(
    optimizer: &dyn Optimizer,
    gradient_transform: &GradientTransform,
    lanes: u32,
) -> Program {
    let mut program = template_program(
        optimizer.name(),
        TENSOR_APPLY_UPDATE,
        &[("WORKGROUP", lanes.into())],
        gradient_transform,
    );
    link(&mut program, optimizer);
    program
}

pub(crate) fn norm_program(lanes: u32) -> Program {
    program("gradient norm", &[GRADIENT_NORM, PENALTY, NUMBERS], &[("WORKGROUP", lanes.into())])
}

pub(crate) fn clip_program(lanes: u32) -> Program {
    program("clip", &[CLIP_FACTOR, CLIP, NUMBERS], &[("WORKGROUP", lanes.into())])
}

pub(crate) fn tensor_norms_program(lanes: u32, penalized: bool) -> Program {
    let constants = [("WORKGROUP", lanes.into()), ("PENALIZED", flag(penalized))];
    program("norms of tensors", &[TENSOR_NORMS, STEP, PARAMS, PENALTY, NUMBERS], &constants)
}

pub(crate) fn tensor_norms_join_program(factors: bool) -> Program {
    program(
        "norms of tensors, joined",
        &[TENSOR_NORMS_JOIN, STEP, PARAMS, CLIP],
        &[("FACTORS", flag(factors))],
    )
}

pub(crate) fn means_program(
    file: File,
    gradient_transform: &GradientTransform,
    lanes: u32,
) -> Program {
    template_program(
        "means of rows and columns",
        file,
        &[("WORKGROUP", lanes.into())],
        gradient_transform,
    )
}

pub(crate) fn transform_program(gradient_transform: &GradientTransform, lanes: u32) -> Program {
    template_program(
        "transformed gradient",
        TENSOR_TRANSFORM,
        &[("WORKGROUP", lanes.into())],
        gradient_transform,
    )
}

pub(crate) fn combine_program(scales: bool) -> Program {
    program("combined matrices", &[COMBINE], &[("SCALES", flag(scales))])
}

pub(crate) fn average_program(gradient_transform: &GradientTransform) -> Program {
    program(
        "running average",
        &[AVERAGE, NUMBERS],
        &[("SKIPS", flag(gradient_transform.skip_non_finite))],
    )
}

/// Programs of one optimizer's step, without clipping.
pub(crate) fn programs_of(optimizer: &dyn Optimizer) -> Vec<Program> {
    let gradient_transform = GradientTransform::default();
    if optimizer.per_tensor().is_none() {
        return vec![optimizer_program(optimizer, &gradient_transform)];
    }
    vec![
        direction_program(optimizer, &gradient_transform, EACH),
        apply_update_program(optimizer, &gradient_transform, EACH),
    ]
}

/// Every program of this file, for the shader checks.
pub(crate) fn programs(optimizers: &[Box<dyn Optimizer>]) -> Vec<Program> {
    let clips = [
        None,
        Some(Clip::GlobalNorm { limit: 1.0, epsilon: 0.0 }),
        Some(Clip::Value(1.0)),
        Some(Clip::Norm(1.0)),
    ];
    let mut programs = vec![combine_program(false), combine_program(true)];
    programs.extend([tensor_norms_join_program(false), tensor_norms_join_program(true)]);
    for lanes in [8, 256] {
        programs.extend([norm_program(lanes), clip_program(lanes)]);
        programs.extend([false, true].map(|penalized| tensor_norms_program(lanes, penalized)));
    }
    for clip in clips {
        let gradient_transform = GradientTransform {
            clip,
            skip_non_finite: clip.is_some(),
            ..GradientTransform::default()
        };
        programs.push(average_program(&gradient_transform));
        programs.push(transform_program(&gradient_transform, EACH));
        for lanes in [8, 256] {
            programs.extend(
                [TENSOR_MEANS, TENSOR_MEAN_OF_ROWS]
                    .map(|file| means_program(file, &gradient_transform, lanes)),
            );
        }
        for optimizer in optimizers {
            if optimizer.per_tensor().is_none() {
                programs.push(optimizer_program(&**optimizer, &gradient_transform));
                continue;
            }
            programs.push(direction_program(&**optimizer, &gradient_transform, EACH));
            programs.push(apply_update_program(&**optimizer, &gradient_transform, EACH));
        }
    }
    programs
}
