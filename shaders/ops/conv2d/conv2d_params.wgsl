// Sizes of a convolution as a product with a matrix of patches, and where a patch is read.
//
// A patch belongs to a pixel of a grid [images, grid_height, grid_width]. Along each axis its tap t
// at the grid's position g is at (g * step + t * tap + start) / divide of the images if that is a
// whole number inside of them, else outside, where everything is 0. For the output and for the
// gradient of the weights the images are the input and divide is 1; for the gradient of the input
// they are the gradient of the output and divide is the stride.
//
// Replaces matmul_params.wgsl: the first ten numbers are those of a matrix product. Rust
// counterpart: `nn::ops::conv2d::gpu::Params`.

struct Params {
    m: u32,
    n: u32,
    k: u32,
    ones: u32,
    accumulate: u32,
    left_offset: u32,
    right_offset: u32,
    bias_offset: u32,
    output_offset: u32,
    part_k: u32,
    // The images that patches are read from.
    height: i32,
    width: i32,
    channels: i32,
    grid_height: i32,
    grid_width: i32,
    kernel_height: i32,
    kernel_width: i32,
    step_y: i32,
    step_x: i32,
    tap_y: i32,
    tap_x: i32,
    start_y: i32,
    start_x: i32,
    divide_y: i32,
    divide_x: i32,
    // Channels and filters of a group.
    group_channels: u32,
    group_filters: u32,
    has_bias: u32,
    // 1 / x of what is divided by.
    per_image: f32,
    per_line: f32,
    per_channels: f32,
    per_kernel_width: f32,
    per_divide_y: f32,
    per_divide_x: f32,
    unused_0: u32,
    unused_1: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

// ⌊a / b⌋ of a >= 0 below 2^31, with a quotient below 2^22: the product of a and 1 / b, each rounded
// to 24 bits, is then less than 1 away. A division of integers takes tens of instructions, and a
// software driver makes it number by number.
fn quotient(a: i32, b: i32, per_b: f32) -> i32 {
    let near = i32(f32(a) * per_b);
    let rest = a - near * b;
    return near + select(0, 1, rest >= b) - select(0, 1, rest < 0);
}

// The patch of a pixel: the position of its tap 0 along y and x, before division, and the index of
// its image.
fn patch_of(pixel: u32) -> vec3<i32> {
    let image = quotient(i32(pixel), params.grid_height * params.grid_width, params.per_image);
    let inside = i32(pixel) - image * params.grid_height * params.grid_width;
    let y = quotient(inside, params.grid_width, params.per_line);
    let x = inside - y * params.grid_width;
    return vec3<i32>(
        y * params.step_y + params.start_y,
        x * params.step_x + params.start_x,
        image * params.height,
    );
}

// Index of a patch's tap in the images, of its first channel; -1 outside.
fn tap_of(patch_start: vec3<i32>, tap_y: i32, tap_x: i32) -> i32 {
    var y = patch_start.x + tap_y * params.tap_y;
    var x = patch_start.y + tap_x * params.tap_x;
    var is_inside = y >= 0 && x >= 0 && tap_y < params.kernel_height;
    if params.divide_y > 1 || params.divide_x > 1 {
        let whole_y = quotient(max(y, 0), params.divide_y, params.per_divide_y);
        let whole_x = quotient(max(x, 0), params.divide_x, params.per_divide_x);
        is_inside = is_inside && whole_y * params.divide_y == y && whole_x * params.divide_x == x;
        y = whole_y;
        x = whole_x;
    }
    is_inside = is_inside && y < params.height && x < params.width;
    return select(-1, ((patch_start.z + y) * params.width + x) * params.channels, is_inside);
}
