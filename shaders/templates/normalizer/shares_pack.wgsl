// The weights that a loss's kernel reads: all factors of a value as one number, MASKED if it is
// excluded.
//
//     packed[i] = weight[i] / max(lengths[i], 1) / divisor
//
// The divisor is the output of templates/normalizer/shares_join. As on the host, the values are
// multiplied by its inverse. Linked with templates/normalizer/shares.

// Each value is divided by its own length.
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
        // Invalid labels were replaced so that no read is out of bounds. The value becomes NaN.
        bits = 0x7fc00000u | (unit & 1u);
    }
    packed[unit] = bits;
}
