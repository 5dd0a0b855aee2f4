// Mean of each channel over a slab of pixels, and the sum of the squared distances from it. One
// thread per slab and cell. Linked with channel_params and a cell.
//
// With distances d from the slab's first pixel: mean = first + sum d / n, squares = sum d^2 -
// (sum d)^2 / n. A mean far from 0 costs no digits so.

@group(0) @binding(1) var<storage, read> inputs: array<Cell>;
@group(0) @binding(2) var<storage, read_write> partials: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn channel_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let cells = params.channels / CELL;
    let slab = index / cells;
    let cell = index % cells;
    if slab >= params.segments * params.slabs {
        return;
    }
    let start = slab % params.slabs * params.slab;
    let length = min(params.slab, params.pixels - start);
    let first = (slab / params.slabs * params.pixels + start) * cells + cell;
    let origin = inputs[first];
    var sum = Cell();
    var squares = Cell();
    for (var i = 0u; i < length; i += 1u) {
        let distance = inputs[first + i * cells] - origin;
        sum += distance;
        squares += distance * distance;
    }
    let n = f32(length);
    partials[2u * slab * cells + cell] = origin + sum / n;
    partials[(2u * slab + 1u) * cells + cell] = squares - sum * sum / n;
}
