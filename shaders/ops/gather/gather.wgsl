// Copies the rows of a batch from the data set, in a shuffled order computed row by row.
//
//     batch[r] = samples[permuted(start + r)]
//
// Linked with lib/random, and with words or pixels, which have `sample_at`. A data set over the
// binding limit is bound in chunks, one dispatch each, which copies the rows of its chunk. One
// workgroup per row, so the permutation is computed once per row.

struct Params {
    rows: u32,       // 32-bit words per row
    width: u32,      // 32-bit words of a row
    part_first: u32, // first row of the bound chunk
    part_rows: u32,
    start: u32,      // position of the batch's first row in the order
    length: u32,     // rows in the order
    shuffled: u32,   // 0: the order is the data set's own
    places: u32,     // places per list, where lists are gathered
    first_keys: vec4<u32>,
    last_keys: vec4<u32>,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> batch: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn gather(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = workgroup.y * count.x + workgroup.x;
    if row >= params.rows {
        return;
    }
    var place = params.start + row;
    if params.shuffled != 0u {
        place = permuted(place, params.length, params.first_keys, params.last_keys);
    }
    if place < params.part_first || place >= params.part_first + params.part_rows {
        return;
    }
    let source = (place - params.part_first) * params.width;
    for (var k = local_index; k < params.width; k += WORKGROUP) {
        batch[row * params.width + k] = sample_at(source + k);
    }
}
