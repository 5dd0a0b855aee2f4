// Sums of g x' and of g of each channel over a slab of pixels, with g the gradient by the
// normalised values and x' = (x - mean) scale. One thread per slab and cell. Linked with
// channel_params, channel_relu and a cell.

@group(0) @binding(1) var<storage, read> gradients: array<Cell>;
@group(0) @binding(2) var<storage, read> inputs: array<Cell>;
@group(0) @binding(3) var<storage, read> outputs: array<Cell>;
@group(0) @binding(4) var<storage, read> statistics: array<Cell>;
@group(0) @binding(5) var<storage, read_write> partials: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn channel_gradient_sums(
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
    let segment = slab / params.slabs;
    let start = slab % params.slabs * params.slab;
    let length = min(params.slab, params.pixels - start);
    let first = (segment * params.pixels + start) * cells + cell;
    let mean = statistics[2u * segment * cells + cell];
    var products = Cell();
    var sum = Cell();
    for (var i = 0u; i < length; i += 1u) {
        let place = first + i * cells;
        let g = through_relu(gradients[place], outputs[place]);
        products += g * (inputs[place] - mean);
        sum += g;
    }
    let scale = statistics[(2u * segment + 1u) * cells + cell];
    partials[2u * slab * cells + cell] = products * scale;
    partials[(2u * slab + 1u) * cells + cell] = sum;
}
