// Row weight and normalizer term of each value of a loss, from inputs on the device: its mask, its
// label, its weight. Linked with shares_count, which sums the divisor of a mean, or with
// shares_pack, which writes the weights that the loss's kernel reads, and with lib/numbers.

struct Params {
    length: u32,        // values in this chunk
    first: u32,         // index of its first value
    weight_first: u32,  // added to the index of a value before the division by weight_width
    weight_width: u32,  // values that share a weight
    mask_first: u32,
    mask_width: u32,
    classes: u32,       // number of classes; also the length of a class list
    first_partial: u32, // offset of this chunk's partial sums
    iterations: u32,    // values per thread
    ignored_count: u32,
    reserved: vec2<u32>,
    ignored: array<vec4<i32>, 4>,
}

struct Unit {
    state: u32,  // KEPT, LEFT_OUT or BAD
    weight: f32,
    normalizer_term: f32,  // summed in the divisor
    count: u32,
    label: i32,  // the invalid label
}

const KEPT: u32 = 0u;
const BAD: u32 = 1u;
const LEFT_OUT: u32 = 2u;

override WORKGROUP: u32 = 64u;
override HAS_WEIGHT: bool = false;
override HAS_MASK: bool = false;
// Labels. 0: none. 1: one class per value. 2: one list of classes per value, ending at its first
// -1. 4: the same as floats. 3: an error code from another kernel, 0 for none; a mask does not
// override it.
override LABELS: u32 = 0u;
// Normalizer term of a value. 0: 1. 1: the weight of its class. 2: a given number; the value is
// excluded if it is not above 0. 3: a given number of values.
override SHARE: u32 = 0u;
// Multiplies each normalizer term by the value's weight.
override BY_WEIGHT: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> keeps: array<u32>;
@group(0) @binding(3) var<storage, read> labels: array<i32>;
@group(0) @binding(4) var<storage, read> normalizer_terms: array<f32>;

fn is_ignored(label: i32) -> bool {
    for (var i = 0u; i < params.ignored_count; i += 1u) {
        if params.ignored[i / 4u][i % 4u] == label {
            return true;
        }
    }
    return false;
}

fn is_class(label: i32) -> bool {
    return label >= 0 && u32(label) < params.classes;
}

fn of_list(place: u32) -> i32 {
    let label = labels[place];
    if LABELS == 2u {
        return label;
    }
    let x = bitcast<f32>(label);
    // NaN is neither a class nor an error: the result is NaN. A number that is not an integer is an
    // error.
    return select(select(-2, i32(x), x == trunc(x) && abs(x) < 16777216.0), 0, is_nan(x));
}

// The first invalid class of a list, or -1.
fn bad_of_list(unit: u32) -> i32 {
    for (var k = 0u; k < params.classes; k += 1u) {
        let label = of_list(unit * params.classes + k);
        if !is_class(label) {
            return label;
        }
    }
    return -1;
}

fn unit_at(unit: u32) -> Unit {
    var found = Unit(KEPT, 1.0, 1.0, 1u, 0);
    if HAS_MASK {
        found.state = select(LEFT_OUT, KEPT, keeps[(params.mask_first + unit) / params.mask_width] != 0u);
    }
    if LABELS == 1u {
        found.label = labels[unit];
        if is_ignored(found.label) {
            found.state = LEFT_OUT;
        } else if !is_class(found.label) {
            found.state = max(found.state, BAD);
        }
    } else if LABELS == 2u || LABELS == 4u {
        found.label = bad_of_list(unit);
        found.state = select(found.state, max(found.state, BAD), found.label != -1);
    } else if LABELS == 3u {
        found.label = labels[unit];
        found.state = select(found.state, BAD, found.label != 0);
    }
    if HAS_WEIGHT {
        found.weight = weights[(params.weight_first + unit) / params.weight_width];
    }
    if SHARE == 1u {
        found.normalizer_term = normalizer_terms[u32(clamp(found.label, 0, i32(params.classes) - 1))];
    } else if SHARE == 2u {
        found.normalizer_term = normalizer_terms[unit];
        found.state = select(found.state, LEFT_OUT, found.normalizer_term <= 0.0 && found.state == KEPT);
    } else if SHARE == 3u {
        found.normalizer_term = normalizer_terms[unit];
        found.count = u32(found.normalizer_term);
    }
    if BY_WEIGHT {
        found.normalizer_term = select(found.weight * found.normalizer_term, found.weight, SHARE < 3u);
    }
    return found;
}
