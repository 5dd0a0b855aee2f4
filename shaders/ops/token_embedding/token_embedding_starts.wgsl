// Where each row's places begin among the sorted ids:
//
//     starts[row] = number of ids below row, for row = 0 ... rows
//
// `sorted` holds (id, position) by id; ids that name no row are at the end. One thread per row, by
// halving.

override WORKGROUP: u32 = 64u;

struct Params {
    count: u32, // ids
    rows: u32,  // of the table
    reserved: vec2<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sorted: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> starts: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn find_starts(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if row > params.rows {
        return;
    }
    var low = 0u;
    var high = params.count;
    while low < high {
        let middle = (low + high) / 2u;
        if sorted[middle].x < row {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    starts[row] = low;
}
