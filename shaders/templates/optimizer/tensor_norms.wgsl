// Sums of squares of every tensor, in BLOCKS partial sums each:
//
//     partials[tensor * BLOCKS + block] = (sum w^2, sum g^2, sum (g / 2^100)^2, 0)
//
// g is the gradient, including that of the penalties if PENALIZED. The third sum is used if the
// second overflows. Each workgroup processes one block, so that the order of the sums depends only
// on the lengths. Linked with templates/optimizer/optimizer_step,
// templates/optimizer/optimizer_params, templates/optimizer/penalty and lib/numbers.

override WORKGROUP: u32 = 256u;
override PENALIZED: bool = false;
const BLOCKS: u32 = 64u;

@group(0) @binding(2) var<storage, read> parameters: array<f32>;
@group(0) @binding(3) var<storage, read> gradients: array<f32>;
@group(0) @binding(4) var<storage, read_write> partials: array<vec4<f32>>;

var<workgroup> sums: array<vec4<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn tensor_norms(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let place = workgroup.y * count.x + workgroup.x;
    if place / BLOCKS >= params.spans {
        return;
    }
    let tensor = spans[place / BLOCKS];
    let length = tensor.rows * max(tensor.columns, 1u);
    let block = (length + BLOCKS - 1u) / BLOCKS;
    let begin = min((place % BLOCKS) * block, length);
    let end = min(begin + block, length);
    var total = vec4<f32>();
    for (var i = tensor.start + begin + local_index; i < tensor.start + end; i += WORKGROUP) {
        let parameter = parameters[i];
        var gradient = gradients[i];
        if PENALIZED {
            gradient += regularization_in(place / BLOCKS, parameter);
        }
        let small = gradient * 7.8886090522e-31;
        total += vec4(parameter * parameter, gradient * gradient, small * small, 0.0);
    }
    sums[local_index] = total;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates the writes of the level above from the reads of this one.
        workgroupBarrier();
        if local_index < half {
            sums[local_index] += sums[local_index + half];
        }
    }
    if local_index == 0u {
        partials[place] = sums[0];
    }
}
