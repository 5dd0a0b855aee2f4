// Shared declarations of the kernels over lists: bindings, constants, and items with the record
// that one kernel passes to the next.
//
// A list's items are split into blocks, so that a long list occupies many workgroups and no thread
// runs a long loop. A unit of work is one block of one list. An item's record is one vector of four
// numbers. Linked with one of templates/listwise/items_*, the memory layout of scores and targets.

struct Params {
    lists: u32,         // in this chunk of the tensor
    items: u32,         // per list
    blocks: u32,        // per list
    block: u32,         // items per block
    iterations: u32,    // units per workgroup
    first_partial: u32, // offset of this chunk's partial sums
    factor: f32,        // of the reduction
    upstream: f32,      // dL/d(value)
}

// An item of a list. Padding has a negative target, and its other fields are not read.
struct Item {
    score: f32, // NaN if the list contains NaN
    truth: f32,
    x: f32,     // two numbers defined by the loss function
    y: f32,
    index: u32, // in the list
}

// A block of a list's items.
struct Unit {
    list: u32,
    first: u32, // index of the list's first item
    begin: u32,
    end: u32,
}

const INFINITY_BITS: u32 = 0x7f800000u;

override WORKGROUP: u32 = 64u;
override HAS_WEIGHT: bool = false;
// Every item has a weight, which the loss applies.
override HAS_ITEM_WEIGHT: bool = false;
// Reduction `none`: every value is written, and each has its own upstream gradient.
override REDUCTION_NONE: bool = false;
// The divisor of the mean is upstreams[2]. It was computed on the device from the targets.
override DIVISOR_ON_DEVICE: bool = false;
// The gradient overwrites the predictions.
override IN_PLACE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
// Bindings 1, 2 and 5, predictions, targets and gradients, are declared in
// templates/listwise/items_*.
@group(0) @binding(3) var<storage, read> weights: array<u32>;
@group(0) @binding(4) var<storage, read> upstreams: array<f32>;
// Partial sums, one per workgroup. With REDUCTION_NONE one per unit, joined by
// templates/listwise/list_values.
@group(0) @binding(6) var<storage, read_write> values: array<f32>;
@group(0) @binding(7) var<storage, read_write> records: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read> item_weights: array<f32>;

// Index of the first item of the list that a thread works on.
var<private> list_first: u32 = 0u;

fn item_weight(index: u32) -> f32 {
    if HAS_ITEM_WEIGHT {
        return item_weights[list_first + index];
    }
    return 1.0;
}

fn unit_of(index: u32) -> Unit {
    let list = index / params.blocks;
    let begin = (index - list * params.blocks) * params.block;
    return Unit(list, list * params.items, begin, min(begin + params.block, params.items));
}

// Range of units of a workgroup: from x (inclusive) to y (exclusive).
fn units_of(workgroup: u32) -> vec2<u32> {
    let begin = workgroup * params.iterations;
    return vec2<u32>(begin, min(begin + params.iterations, params.lists * params.blocks));
}

fn is_left_out(list: u32) -> bool {
    return HAS_WEIGHT && weights[list] == MASKED;
}

// The targets of a row are a list of classes that ends at the first -1. The target of an item is the
// number of times that the list has its index.
override CLASS_LIST: bool = false;

fn member_at(first: u32, index: u32, score: f32) -> Item {
    var truth = 0.0;
    var is_open = true;
    for (var k = 0u; k < params.items; k += 1u) {
        let class_number = truth_at(first + k);
        is_open = is_open && class_number != -1.0;
        if is_nan(class_number) || (is_open && (class_number < 0.0 || class_number >= f32(params.items))) {
            return Item(not_a_number(class_number), 0.0, 0.0, 0.0, index);
        }
        if is_open && u32(class_number) == index {
            truth += 1.0;
        }
    }
    return Item(score, truth, 0.0, 0.0, index);
}

// The input item. NaN is detected by its bits, because comparisons with NaN are unreliable.
fn item_at(first: u32, index: u32) -> Item {
    let place = first + index;
    let score = score_at(place);
    if CLASS_LIST {
        return member_at(first, index, score);
    }
    let truth = truth_at(place);
    if is_nan(truth) {
        return Item(truth, 0.0, 0.0, 0.0, index);
    }
    if truth < 0.0 {
        return Item(0.0, -1.0, 0.0, 0.0, index);
    }
    return Item(score, truth, 0.0, 0.0, index);
}

// a - b of two scores: 0 if they are equal, even if both are the same infinity.
fn difference(a: f32, b: f32) -> f32 {
    return select(a - b, 0.0, a == b);
}
