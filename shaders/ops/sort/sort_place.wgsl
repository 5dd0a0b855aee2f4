// Radix sort, kernel 3 of 3: moves each id, with its original position, to its place by the digit.
//
// See ops/sort/sort_count. Linked with ops/sort/sort.

@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read_write> placed: array<vec2<u32>>;

@compute @workgroup_size(WORKGROUP)
fn place(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let run = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if run >= params.runs {
        return;
    }
    var next: array<u32, DIGITS>;
    for (var digit = 0u; digit < DIGITS; digit++) {
        next[digit] = starts[digit * params.runs + run];
    }
    let end = min((run + 1u) * params.run, params.count);
    for (var at = run * params.run; at < end; at++) {
        let pair = pair_at(at);
        let digit = digit_of(pair);
        placed[next[digit]] = pair;
        next[digit] += 1u;
    }
}
