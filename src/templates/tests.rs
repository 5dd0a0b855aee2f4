//! Memory layouts of the loss kernels' uniforms match their shaders.

use crate::losses;
use crate::runtime::kernel::Program;
use crate::runtime::wgsl::assert_layout;
use crate::templates::parts::{ALIGNMENT, Part, parts};
use crate::templates::pointwise::gpu::PointwiseParams;
use crate::templates::programs::programs;
use crate::templates::rowwise::gpu::RowwiseParams;
use crate::templates::sum::{SumParams, sum_program};
use crate::templates::*;

fn frame_of(name: &str) -> Program {
    let loss = losses::from_name(name, &serde_json::Value::Null).unwrap();
    programs(&*loss).unwrap().remove(0)
}

#[test]
fn the_pointwise_uniform_is_the_shaders() {
    assert_layout!(
        frame_of("mse"),
        PointwiseParams as "Params" { length, first, block, first_partial, row_length, columns, factor, upstream }
    );
}

#[test]
fn the_row_wise_uniform_is_the_shaders() {
    assert_layout!(
        frame_of("cross_entropy"),
        RowwiseParams as "Params" {
            rows, columns, plane, first_row, block, first_partial, factor, upstream, ignored_count, ignored
        }
    );
}

#[test]
fn the_sums_uniform_is_the_shaders() {
    assert_layout!(sum_program(8.0), SumParams as "Params" { length, slot, reserved });
}

#[test]
fn the_uniforms_of_what_takes_part_are_the_shaders() {
    let [join, count, ..] = &normalizer::programs()[..] else { panic!("there are programs") };
    assert_layout!(
        count,
        normalizer::DivisorParams as "Params" {
            length, first, weight_first, weight_width, mask_first, mask_width, classes, first_partial, iterations, ignored_count,
            reserved, ignored
        }
    );
    assert_layout!(join, normalizer::JoinParams as "Params" { length, count_scale, divisor_scale, by_count });
}

#[test]
fn the_uniforms_of_what_inputs_go_through_are_the_shaders() {
    for program in on_device::programs() {
        match program.files[0].name {
            "templates/sequence/sequence_check.wgsl" => assert_layout!(
                program,
                on_device::SequenceSizes as "Params" { batch, time, length, classes, blank }
            ),
            "templates/similarity/similarity_shares.wgsl" => assert_layout!(
                program,
                on_device::SimilaritySharesParams as "Params" { rows, needs_positives, needs_negatives, per_positive }
            ),
            _ => {
                assert_layout!(program, on_device::ElementsParams as "Params" { length, first, columns })
            }
        }
    }
}

#[test]
fn parts_cover_everything_once_and_begin_where_a_binding_may() {
    for (total, most) in [(1, 64), (64, 64), (65, 64), (1000, 100), (1 << 20, 1 << 16), (7, 1)] {
        let all: Vec<Part> = parts(total, most).collect();
        let mut next = 0;
        for part in &all {
            assert_eq!(part.first, next, "{total} by {most}");
            assert_eq!(part.first % ALIGNMENT, 0, "{total} by {most}");
            assert!(part.length > 0 && part.length <= most.max(ALIGNMENT), "{total} by {most}");
            next += part.length;
        }
        assert_eq!(next, total);
    }
}

/// The list is what the shader and the register checks compile: a variant that is not in it is
/// checked on no card.
#[test]
fn the_pointwise_programs_are_all_variants() {
    let loss = losses::from_name("mse", &serde_json::Value::Null).unwrap();
    let programs = programs(&*loss).unwrap();
    let count = |file: &str, lanes: f64, reduction_none: f64| {
        let has = |program: &&Program| {
            program.files.iter().any(|of| of.stem() == file)
                && program.constants.contains(&("WORKGROUP", lanes))
                && program.constants.contains(&("REDUCTION_NONE", reduction_none))
        };
        programs.iter().filter(has).count()
    };
    for (lanes, partials) in [(8.0, "partials_lane"), (256.0, "partials_tree")] {
        for reduction_none in [0.0, 1.0] {
            let of = |file| count(file, lanes, reduction_none);
            // Value and gradient in f32 and f16, and the second derivative in f32.
            assert_eq!([of("points_half"), of("points_float"), of(partials)], [1, 2, 3]);
        }
    }
}
