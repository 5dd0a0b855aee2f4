// FMA kernel: measures a device's arithmetic throughput without memory traffic, the upper bound for
// matrix products.
//
//     x <- x * factor + addend, repeated in independent chains
//
// Twelve chains per thread: enough to hide the latency of an fma on any card, and with the two
// constants they fit the sixteen vector registers of AVX2, where software Vulkan runs. The
// constants come from the host, so that nothing is folded.

struct Params {
    iterations: u32, // four rounds each
    lanes: u32,      // threads counted, in all workgroups
    factor: f32,
    addend: f32,
}

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn chains(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let factor = vec4<f32>(params.factor);
    let addend = vec4<f32>(params.addend);
    var a = vec4<f32>(0.0, 1.0, 2.0, 3.0) + f32(local_index);
    var b = a + 4.0;
    var c = a + 8.0;
    for (var i = 0u; i < params.iterations; i++) {
        a = fma(a, factor, addend);
        b = fma(b, factor, addend);
        c = fma(c, factor, addend);
        a = fma(a, factor, addend);
        b = fma(b, factor, addend);
        c = fma(c, factor, addend);
        a = fma(a, factor, addend);
        b = fma(b, factor, addend);
        c = fma(c, factor, addend);
        a = fma(a, factor, addend);
        b = fma(b, factor, addend);
        c = fma(c, factor, addend);
    }
    // Written so that the chains are not eliminated as unused.
    if index < params.lanes {
        let sum = a + b + c;
        values[index] = (sum.x + sum.y) + (sum.z + sum.w);
    }
}
