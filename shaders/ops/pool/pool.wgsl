// Windows of a pooling over [rows, height, width, channels]. Coordinates are counted from the first
// padded place where a name says `padded`, so that none is negative. A cell is one number, or four
// adjacent channels. Linked with one of the two.

struct Params {
    cells: u32,    // of the tensor that is written
    channels: u32, // in cells
    // Each for height and width.
    input_height: u32,
    input_width: u32,
    output_height: u32,
    output_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_height: u32,
    stride_width: u32,
    padding_height: u32,
    padding_width: u32,
    adaptive: u32,       // 1: windows divide the input, and the three pairs above are not read
    counts_padding: u32, // 1: an average divides by its padded places too
}

// An axis of the pooling.
struct Axis {
    input: u32,
    output: u32,
    kernel: u32,
    stride: u32,
    padding: u32,
}

// The inputs of a window, and what its average divides by.
struct Span {
    first: u32,
    end: u32,
    count: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;

fn vertical() -> Axis {
    return Axis(params.input_height, params.output_height, params.kernel_height,
        params.stride_height, params.padding_height);
}

fn horizontal() -> Axis {
    return Axis(params.input_width, params.output_width, params.kernel_width,
        params.stride_width, params.padding_width);
}

// The inputs of window i.
fn inputs_of(axis: Axis, i: u32) -> Span {
    if params.adaptive != 0u {
        let first = i * axis.input / axis.output;
        let end = ((i + 1u) * axis.input + axis.output - 1u) / axis.output;
        return Span(first, end, end - first);
    }
    let padded_first = i * axis.stride;
    let padded_end = min(padded_first + axis.kernel, axis.input + 2u * axis.padding);
    let first = max(padded_first, axis.padding) - axis.padding;
    let end = min(padded_end, axis.input + axis.padding) - axis.padding;
    let places = padded_end - padded_first;
    return Span(first, end, select(end - first, places, params.counts_padding != 0u));
}

// The windows with input i, from `first` to before `end`.
fn windows_of(axis: Axis, i: u32) -> Span {
    if params.adaptive != 0u {
        let first = i * axis.output / axis.input;
        let end = ((i + 1u) * axis.output + axis.input - 1u) / axis.input;
        return Span(first, end, end - first);
    }
    let padded = i + axis.padding;
    var first = 0u;
    if padded >= axis.kernel {
        first = (padded - axis.kernel) / axis.stride + 1u;
    }
    let end = min(padded / axis.stride + 1u, axis.output);
    return Span(first, end, max(end, first) - first);
}

// The place of input i in window w.
fn tap_of(axis: Axis, w: u32, i: u32) -> u32 {
    return i + axis.padding - w * axis.stride;
}

// A cell of a tensor of the given height and width.
struct Place {
    row: u32,
    y: u32,
    x: u32,
    channel: u32,
}

fn place_of(cell: u32, height: u32, width: u32) -> Place {
    let pixel = cell / params.channels;
    let line = pixel / width;
    return Place(line / height, line % height, pixel % width, cell % params.channels);
}

fn input_cell(row: u32, y: u32, x: u32, channel: u32) -> u32 {
    return ((row * params.input_height + y) * params.input_width + x) * params.channels + channel;
}

fn output_cell(row: u32, y: u32, x: u32, channel: u32) -> u32 {
    return ((row * params.output_height + y) * params.output_width + x) * params.channels + channel;
}
