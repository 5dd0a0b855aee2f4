// The weights that a loss's kernel takes: everything that multiplies a value as one number, MASKED where it takes no part.
//
//     packed[i] = weight[i] / max(lengths[i], 1) / divisor
//
// The divisor is what templates/normalizer/shares_join left; it is multiplied by its inverse, as the host does. Linked with templates/normalizer/shares.

// The value is divided by a length of its own.
override HAS_LENGTHS: bool = false;
override HAS_DIVISOR: bool = false;

@group(0) @binding(5) var<storage, read> lengths: array<i32>;
@group(0) @binding(6) var<storage, read> notes: array<f32>;
@group(0) @binding(7) var<storage, read_write> packed: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn shares_pack(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let unit = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if unit >= params.length {
        return;
    }
    let found = unit_at(unit);
    var weight = found.weight;
    if HAS_LENGTHS {
        weight *= 1.0 / f32(max(lengths[unit], 1));
    }
    if HAS_DIVISOR {
        let divisor = notes[2];
        weight *= select(1.0 / divisor, 0.0, divisor == 0.0);
    }
    var bits = bitcast<u32>(weight);
    if found.state == LEFT_OUT {
        bits = MASKED;
    } else if LABELS == 3u && found.state == BAD {
        // Its numbers were put in order so that nothing is read that there is not: what comes of them is no value.
        bits = 0x7fc00000u | (unit & 1u);
    }
    packed[unit] = bits;
}
