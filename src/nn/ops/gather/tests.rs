//! The uniform of the gather kernels, gathered lists, and images changed on the way.

use std::mem::offset_of;

use crate::cpu::random::Permutation;
use crate::nn::ops::gather::augment::{Augment, ImageAugment};
use crate::nn::ops::gather::*;
use crate::runtime::kernel::Slice;
use crate::runtime::wgsl;

/// Checks the shader's members and their offsets; its size is the Rust struct's, which may end in
/// padding.
fn asks(program: &Program, own: usize, expected: &[(&str, usize)]) {
    let module = wgsl::parse(&program.label, &program.header, &program.files).unwrap();
    let (size, members) = wgsl::struct_layout(&module.ir, "Params").expect("the shader has it");
    assert_eq!((size as usize).next_multiple_of(16), own, "size of {}", program.label);
    let expected: Vec<_> =
        expected.iter().map(|&(name, offset)| (name.to_string(), offset as u32)).collect();
    assert_eq!(members, expected, "fields of {}", program.label);
}

#[test]
fn the_gathers_uniform_is_that_of_both_shaders() {
    for program in [gather_program(8.0, Source::Words), gather_lists_program(8.0, 0.0)] {
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
fn the_image_gathers_uniform_is_that_of_its_shader() {
    let own = |field: usize| offset_of!(GatherImagesParams, augment) + field;
    asks(
        &gather_images_program(8.0, Source::Words),
        size_of::<GatherImagesParams>(),
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
            ("height", own(offset_of!(AugmentParams, height))),
            ("columns", own(offset_of!(AugmentParams, columns))),
            ("channels", own(offset_of!(AugmentParams, channels))),
            ("crop", own(offset_of!(AugmentParams, crop))),
            ("flip", own(offset_of!(AugmentParams, flip))),
            ("cutout", own(offset_of!(AugmentParams, cutout))),
            ("reserved", own(offset_of!(AugmentParams, reserved))),
            ("noise", own(offset_of!(AugmentParams, noise))),
        ],
    );
}

#[test]
fn rows_of_three_axes_are_images_and_all_others_are_not() {
    let flip = Augment::new().flip(true);
    let new = |augment, input: &[usize]| ImageAugment::new(augment, input);
    // Fewer pixels than channels, too.
    for shape in [[1, 2, 3], [4, 4, 1]] {
        assert!(new(Some(flip), &shape).is_some(), "{shape:?}");
        assert!(new(None, &shape).is_none() && new(Some(Augment::new()), &shape).is_none());
    }
    for shape in [&[][..], &[6], &[2, 3], &[0, 2, 3], &[2, 2, 0], &[1, 2, 2, 3]] {
        assert!(new(Some(flip), shape).is_none(), "{shape:?}");
    }
}

#[test]
fn images_are_changed_to_the_same_bits_as_on_the_host() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = Gpu::open_with(crate::GpuOptions::default()).unwrap();
    let (rows, shape, noise) = (60, [5, 4, 3], [9, 1, 3, u32::MAX - 20]);
    let width: usize = shape.iter().product();
    // Pixels differ in an image and in its neighbours; a chunk does not end with a word.
    let pixels: Vec<u8> = (0..rows * width).map(|number| (number % 251 + 3) as u8).collect();
    let palette: Vec<f32> = (0..256).map(|pixel| pixel as f32 / 255.0).collect();
    let images: Vec<f32> = pixels.iter().map(|&pixel| palette[usize::from(pixel)]).collect();
    let palette = gpu.upload("numbers of pixels", &palette).unwrap();
    let order = Permutation::new(rows as u32, 2, 3);
    let all = Augment::new().crop(3).flip(true).cutout(3);
    let some = [all, Augment::new().crop(2), Augment::new().flip(true), Augment::new().cutout(4)];
    for (augment, source) in
        some.into_iter().flat_map(|augment| [Source::Words, Source::Pixels].map(|of| (augment, of)))
    {
        let kernel = gather_images(&gpu, source).unwrap();
        let image_augment = ImageAugment::new(Some(augment), &shape).unwrap();
        let batch = gpu.upload("a batch", &vec![-7.0_f32; rows * width]).unwrap();
        // The data set is bound in two chunks.
        for [first, count] in [[0, 25], [25, 35]] {
            let part = first * width..(first + count) * width;
            let part = match source {
                Source::Words => gpu.upload("a part", &images[part]).unwrap(),
                Source::Pixels => {
                    let words = pixels[part].chunks(4).map(|four| {
                        let byte = |at: usize| u32::from(four.get(at).copied().unwrap_or(0));
                        (0..4).fold(0, |word, at| word | byte(at) << (8 * at))
                    });
                    gpu.upload("a part", &words.collect::<Vec<u32>>()).unwrap()
                }
            };
            let params = GatherImagesParams {
                rows: GatherParams {
                    rows: rows as u32,
                    width: width as u32,
                    part_first: first as u32,
                    part_rows: count as u32,
                    start: 0,
                    length: order.length(),
                    shuffled: 1,
                    places: 1,
                    keys: order.keys(),
                },
                augment: image_augment.params(noise),
            };
            let storage = [&part, &batch, &palette].map(Slice::from);
            let storage = &storage[..if source == Source::Pixels { 3 } else { 2 }];
            let command = gpu.dispatch(&kernel, &params, storage, rows as u32).unwrap();
            gpu.submit(&[command]).unwrap();
        }
        let found: Vec<f32> = pollster::block_on(gpu.download(&batch, 0, rows * width)).unwrap();
        for (place, found) in found.chunks(width).enumerate() {
            let row = order.at(place as u32) as usize;
            let mut expected = vec![0.0_f32; width];
            let change = image_augment.change(noise, row);
            image_augment.copy(&change, &images[row * width..][..width], &mut expected);
            assert_eq!(found, expected, "{augment:?}, {source:?}, row {row}: {change:?}");
        }
    }
}

/// The result of gathering lists into a batch full of sevens, with one dispatch per binding chunk.
fn gathered(
    gpu: &Gpu,
    items: &[f32],
    offsets: &[u32],
    parts: &[[u32; 2]],
    [start, lists, places]: [u32; 3],
) -> Vec<f32> {
    let (kernel, width) = (gather_lists(gpu, -1.0).unwrap(), 2);
    let rows = lists * places;
    let batch = gpu.upload("a batch", &vec![7.0_f32; (rows * width) as usize]).unwrap();
    let offsets = gpu.upload("offsets", offsets).unwrap();
    for &[first, count] in parts {
        let range = (first * width) as usize..((first + count) * width) as usize;
        let part = gpu.upload("a part", &items[range]).unwrap();
        let (length, keys) = (4, [0; 8]);
        let params = GatherParams {
            rows,
            width,
            part_first: first,
            part_rows: count,
            start,
            length,
            shuffled: 0,
            places,
            keys,
        };
        let storage = [(&part).into(), (&batch).into(), (&offsets).into()];
        gpu.submit(&[gpu.dispatch(&kernel, &params, &storage, rows).unwrap()]).unwrap();
    }
    pollster::block_on(gpu.download(&batch, 0, (rows * width) as usize)).unwrap()
}

#[test]
fn lists_are_gathered_to_their_last_item_and_each_part_gives_its_own() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = Gpu::open_with(crate::GpuOptions::default()).unwrap();
    // Four lists of 3, 1, 2 and 4 items of two numbers each.
    let (offsets, items): (_, Vec<f32>) =
        ([0, 3, 4, 6, 10], (0..20).map(|number| number as f32).collect());
    let expected = [
        2.0, 3.0, 4.0, 5.0, -1.0, -1.0, 6.0, 7.0, -1.0, -1.0, -1.0, -1.0, 8.0, 9.0, 10.0, 11.0,
        -1.0, -1.0,
    ];
    // The first list begins one item later here, so that its third position is past its end.
    let shifted = [1, 3, 4, 6, 10];
    for parts in [&[[0, 10]][..], &[[0, 3], [3, 7]], &[[3, 7], [0, 3]], &[[0, 1], [1, 4], [5, 5]]] {
        assert_eq!(gathered(&gpu, &items, &shifted, parts, [0, 3, 3]), expected, "{parts:?}");
    }
    // A single chunk gives its own items, from its first to its last, and all of the padding.
    let [a, b] = [[3, 2], [0, 3]].map(|part| gathered(&gpu, &items, &offsets, &[part], [0, 3, 3]));
    let of = |found: &[f32]| found.chunks(2).map(|item| item[0]).collect::<Vec<_>>();
    assert_eq!(of(&a), [7.0, 7.0, 7.0, 6.0, -1.0, -1.0, 8.0, 7.0, -1.0]);
    assert_eq!(of(&b), [0.0, 2.0, 4.0, 7.0, -1.0, -1.0, 7.0, 7.0, -1.0]);
}
