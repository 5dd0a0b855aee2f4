// Copies the items of a batch of lists from the data set, in a shuffled order computed list by
// list. Each list has as many places in the batch as the longest; those behind its last item are
// padding.
//
//     batch[l, i] = samples[offsets[permuted(start + l)] + i],  PADDING from the list's end on
//
// Linked with lib/random. A data set over the binding limit is bound in chunks, one dispatch each,
// which copies the items of its chunk and the padding. One workgroup per place.

struct Params {
    rows: u32,       // places in the batch: lists × places per list
    width: u32,      // 32-bit words per item
    part_first: u32, // first item of the bound chunk
    part_rows: u32,
    start: u32,      // position of the batch's first list in the order
    length: u32,     // lists in the order
    shuffled: u32,   // 0: the order is the data set's own
    places: u32,     // places per list
    first_keys: vec4<u32>,
    last_keys: vec4<u32>,
}

override WORKGROUP: u32 = 64u;
override PADDING: u32 = 0u; // bits of the padding value

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> samples: array<u32>;
@group(0) @binding(2) var<storage, read_write> batch: array<u32>;
@group(0) @binding(3) var<storage, read> offsets: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn gather_lists(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = workgroup.y * count.x + workgroup.x;
    if row >= params.rows {
        return;
    }
    var list = params.start + row / params.places;
    if params.shuffled != 0u {
        list = permuted(list, params.length, params.first_keys, params.last_keys);
    }
    let item = offsets[list] + row % params.places;
    if item >= offsets[list + 1u] {
        for (var k = local_index; k < params.width; k += WORKGROUP) {
            batch[row * params.width + k] = PADDING;
        }
        return;
    }
    if item < params.part_first || item >= params.part_first + params.part_rows {
        return;
    }
    let source = (item - params.part_first) * params.width;
    for (var k = local_index; k < params.width; k += WORKGROUP) {
        batch[row * params.width + k] = samples[source + k];
    }
}
