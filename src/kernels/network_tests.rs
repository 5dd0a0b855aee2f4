//! The uniforms of a network's kernels lie in memory as their shaders say.

use std::mem::offset_of;

use super::*;
use crate::wgsl;

/// The shader's members with their offsets; its size is the Rust struct's, whose end may be padding.
fn asks(program: &Program, own: usize, expected: &[(&str, usize)]) {
    let module = wgsl::parse(&program.label, &program.header, &program.files).unwrap();
    let (size, members) = wgsl::struct_layout(&module.ir, "Params").expect("the shader has it");
    assert_eq!((size as usize).next_multiple_of(16), own, "size of {}", program.label);
    let expected: Vec<_> = expected.iter().map(|&(name, offset)| (name.to_string(), offset as u32)).collect();
    assert_eq!(members, expected, "fields of {}", program.label);
}

#[test]
fn the_gathers_uniform_is_that_of_both_shaders() {
    for program in [plain("gather", &[GATHER, RANDOM], Vec::new()), gather_lists_program(8.0, 0.0)] {
        asks(
            &program,
            size_of::<GatherParams>(),
            &[
                ("rows", offset_of!(GatherParams, rows)),
                ("width", offset_of!(GatherParams, width)),
                ("part_first", offset_of!(GatherParams, part_first)),
                ("part_rows", offset_of!(GatherParams, part_rows)),
                ("start", offset_of!(GatherParams, start)),
                ("length", offset_of!(GatherParams, length)),
                ("shuffled", offset_of!(GatherParams, shuffled)),
                ("places", offset_of!(GatherParams, places)),
                ("first_keys", offset_of!(GatherParams, keys)),
                ("last_keys", offset_of!(GatherParams, keys) + 16),
            ],
        );
    }
}

#[test]
fn the_summarys_uniform_is_the_shaders() {
    asks(
        &plain("summary", &[SUMMARY], Vec::new()),
        size_of::<SummaryParams>(),
        &[
            ("length", offset_of!(SummaryParams, length)),
            ("rows", offset_of!(SummaryParams, rows)),
            ("slot", offset_of!(SummaryParams, slot)),
        ],
    );
}
