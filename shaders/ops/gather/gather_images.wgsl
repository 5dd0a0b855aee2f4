// Copies the images of a batch from the data set, as `gather`, and changes each by a crop, a flip
// and a cutout, in this order. The CPU implementation is src/nn/ops/gather/augment.rs.
//
//     batch[r, y, x] = samples[s, y + down, (x or columns - 1 - x) + right],
//     0 outside of the image and in the square that is cut out, s = permuted(start + r)
//
// The changes are drawn from the seed, the epoch and the image's number in the data set. Linked
// with lib/random, and with words or pixels, which have `sample_at`. A data set over the binding
// limit is bound in chunks, one dispatch each, which copies the images of its chunk. One workgroup
// per image.

struct Params {
    rows: u32,       // images in the batch
    width: u32,      // numbers of an image
    part_first: u32, // first image of the bound chunk
    part_rows: u32,
    start: u32,      // position of the batch's first image in the order
    length: u32,     // images in the order
    shuffled: u32,   // 0: the order is the data set's own
    places: u32,     // unused
    first_keys: vec4<u32>,
    last_keys: vec4<u32>,
    height: u32,
    columns: u32,
    channels: u32,
    crop: u32,       // largest offset
    flip: u32,       // 0: never
    cutout: u32,     // side of the square
    reserved: vec2<u32>,
    noise: vec4<u32>, // seed, epoch, number of the data set's first image
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> batch: array<u32>;

// Distinct from the counters of row orders, dropout and initial weights.
const DOMAIN: u32 = 0x6175676du;

@compute @workgroup_size(WORKGROUP)
fn gather_images(
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
    let number = params.noise.w + place;
    let moved = philox(vec4<u32>(number, DOMAIN, params.noise.z, 0u), params.noise.xy);
    let cut = philox(vec4<u32>(number, DOMAIN, params.noise.z, 1u), params.noise.xy);
    let offsets = 2u * params.crop + 1u;
    // A source beyond the top or the left edge wraps around to a number far above the sides.
    let down = multiply_high(moved.x, offsets) - params.crop;
    let right = multiply_high(moved.y, offsets) - params.crop;
    let is_flipped = params.flip != 0u && (moved.z >> 31u) == 1u;
    let centre_y = multiply_high(cut.x, params.height);
    let centre_x = multiply_high(cut.y, params.columns);
    let half = params.cutout / 2u;
    let source = (place - params.part_first) * params.width;
    for (var k = local_index; k < params.width; k += WORKGROUP) {
        let pixel = k / params.channels;
        let y = pixel / params.columns;
        let x = pixel % params.columns;
        // Below the square's first row the difference wraps around.
        let is_cut = y + half - centre_y < params.cutout && x + half - centre_x < params.cutout;
        let from_y = y + down;
        let from_x = select(x, params.columns - 1u - x, is_flipped) + right;
        var bits = 0u;
        if !is_cut && from_y < params.height && from_x < params.columns {
            let channel = k % params.channels;
            bits = sample_at(source + (from_y * params.columns + from_x) * params.channels + channel);
        }
        batch[row * params.width + k] = bits;
    }
}
