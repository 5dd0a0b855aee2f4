// Detects NaN and infinity in a table: sets found[0] to 1. One thread per vector of four.

override WORKGROUP: u32 = 64u;

struct Params {
    length: u32, // vectors of four
    reserved: u32,
    unused: vec2<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> found: array<atomic<u32>>;

@compute @workgroup_size(WORKGROUP)
fn look(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index < params.length {
        // All exponent bits are set.
        if any((table[index] & vec4<u32>(0x7f800000u)) == vec4<u32>(0x7f800000u)) {
            atomicStore(&found[0], 1u);
        }
    }
}
