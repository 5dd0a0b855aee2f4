// Radix sort, kernel 1 of 3: counts how often each digit occurs in each run of ids. The sort goes
// by one digit at a time, least significant first, and is stable.
//
//     counts[digit * runs + run] = number of ids in the run with that digit
//
// Each thread owns a run and goes through it in order, here and in ops/sort/sort_place: the order
// of equal ids is preserved without atomics, and the result is the same on every device. An id that
// names no row counts as `limit` and is sorted to the end. Linked with ops/sort/sort.

@group(0) @binding(3) var<storage, read_write> counts: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn count_digits(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let run = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if run >= params.runs {
        return;
    }
    var found: array<u32, DIGITS>;
    let end = min((run + 1u) * params.run, params.count);
    for (var at = run * params.run; at < end; at++) {
        found[digit_of(pair_at(at))] += 1u;
    }
    for (var digit = 0u; digit < DIGITS; digit++) {
        counts[digit * params.runs + run] = found[digit];
    }
}
