// Joins the partial sums of templates/optimizer/gradient_norm and writes the factor that the
// optimizer multiplies the gradient by. Linked with templates/optimizer/clip and lib/numbers. One
// workgroup. The order of the additions depends only on the number of partial sums.

struct Params {
    length: u32,
    limit: f32,
    epsilon: f32, // added to the norm
    reserved: u32,
}

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> factor: array<f32>;
// Number of norms so far that were not finite.
@group(0) @binding(3) var<storage, read_write> not_finite: array<u32>;

var<workgroup> sums: array<vec2<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn clip(@builtin(local_invocation_index) local_index: u32) {
    var total = vec2<f32>();
    for (var i = local_index; i < params.length; i += WORKGROUP) {
        total += partials[i];
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
        let found = clip_factor(sums[0], params.limit, params.epsilon);
        factor[0] = found;
        if is_nan(found) {
            not_finite[0] += 1u;
        }
    }
}
