// Running average of the parameters, updated after each step that was not skipped: average[i] +=
// weight (parameters[i] - average[i]).

struct Params {
    length: u32,
    weight: f32,
}

override WORKGROUP: u32 = 64u;
override SKIPS: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read_write> average: array<f32>;
@group(0) @binding(3) var<storage, read> clip: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn running_average(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index < params.length && !(SKIPS && is_nan(clip[0])) {
        average[index] += params.weight * (parameters[index] - average[index]);
    }
}
