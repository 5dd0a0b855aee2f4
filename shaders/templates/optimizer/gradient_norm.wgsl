// Squared norm of the full gradient, of the loss and the penalties, as partial sums:
//
//     partials[w] = (sum of g^2, sum of (g / 2^100)^2) over the block of workgroup w
//     g = gradients[i] + dR/dw
//
// The second sum is used if the first overflows: the square of a number from 1e19 on exceeds f32,
// and clipping is meant for exploding gradients. Linked with templates/optimizer/penalty. Each
// workgroup owns one contiguous block, so the order of the sums depends only on the length.

struct Params {
    length: u32,
    spans: u32,
    block: u32, // elements per workgroup
    reserved: u32,
}

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> parameters: array<f32>;
@group(0) @binding(3) var<storage, read> gradients: array<f32>;
@group(0) @binding(4) var<storage, read_write> partials: array<vec2<f32>>;

var<workgroup> sums: array<vec2<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn gradient_norm(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let block = workgroup.y * count.x + workgroup.x;
    let begin = block * params.block;
    let end = min(begin + params.block, params.length);
    var total = vec2<f32>();
    for (var i = begin + local_index; i < end; i += WORKGROUP) {
        var gradient = gradients[i];
        if params.spans > 0u {
            // A frozen tensor does not count.
            let span = span_of(i);
            let full = gradient + regularization_in(span, parameters[i]);
            gradient = select(full, 0.0, is_frozen(span));
        }
        let small = gradient * 7.8886090522e-31;
        total += vec2(gradient * gradient, small * small);
    }
    sums[local_index] = total;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates the writes of the level above from the reads of this one.
        workgroupBarrier();
        if local_index < half {
            sums[local_index] += sums[local_index + half];
        }
    }
    if local_index == 0u && begin < end {
        partials[block] = sums[0];
    }
}
