// Validates lengths and labels of sequences on the device, and replaces invalid ones so that no
// read is out of bounds:
//
//     checked_inputs[b]  = input_lengths[b], if there are that many rows, else 0
//     checked_targets[b] = target_lengths[b], if there are that many positions and each
//                          holds a class, else 0
//     verdicts[b]        = 1 if the host would reject the item, else 0
//
// A mask suppresses only the error of an invalid label. One thread per item.

struct Params {
    batch: u32,
    time: u32,
    length: u32, // positions per row of targets
    classes: u32,
    blank: u32,
}

override WORKGROUP: u32 = 64u;
override HAS_MASK: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input_lengths: array<i32>;
@group(0) @binding(2) var<storage, read> target_lengths: array<i32>;
@group(0) @binding(3) var<storage, read> targets: array<i32>;
@group(0) @binding(4) var<storage, read> keeps: array<u32>;
@group(0) @binding(5) var<storage, read_write> checked_inputs: array<i32>;
@group(0) @binding(6) var<storage, read_write> checked_targets: array<i32>;
@group(0) @binding(7) var<storage, read_write> verdicts: array<i32>;

fn fits(length: i32, most: u32) -> bool {
    return length >= 0 && u32(length) <= most;
}

@compute @workgroup_size(WORKGROUP)
fn sequence_check(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let item = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if item >= params.batch {
        return;
    }
    let rows = input_lengths[item];
    let places = target_lengths[item];
    let are_lengths = fits(rows, params.time) && fits(places, params.length);
    var are_classes = true;
    var has_blank = false;
    for (var i = 0u; i < select(0u, u32(places), are_lengths); i += 1u) {
        let label = targets[item * params.length + i];
        are_classes = are_classes && label >= 0 && u32(label) < params.classes;
        has_blank = has_blank || (label >= 0 && u32(label) == params.blank);
    }
    var is_kept = true;
    if HAS_MASK {
        is_kept = keeps[item] != 0u;
    }
    checked_inputs[item] = select(0, rows, fits(rows, params.time));
    checked_targets[item] = select(0, places, are_lengths && are_classes);
    verdicts[item] = select(0, 1, !are_lengths || has_blank || (is_kept && !are_classes));
}
