// Sums of g x' and of g of each column over a slab of rows, with g = dL/dy and x' = (x - mean)
// scale: partial sums of the gradients of weight and bias, [slabs, 2, width]. One thread per slab
// and cell. Linked with row_params and a cell.

@group(0) @binding(1) var<storage, read> gradients: array<Cell>;
@group(0) @binding(2) var<storage, read> inputs: array<Cell>;
@group(0) @binding(3) var<storage, read> statistics: array<f32>;
@group(0) @binding(4) var<storage, read_write> partials: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn row_gradient_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let cells = params.width / CELL;
    let slab = index / cells;
    let cell = index % cells;
    if slab >= params.slabs {
        return;
    }
    let end = min((slab + 1u) * params.slab, params.rows);
    var products = Cell();
    var sum = Cell();
    for (var row = slab * params.slab; row < end; row += 1u) {
        let g = gradients[row * cells + cell];
        let distance = inputs[row * cells + cell] - Cell(statistics[2u * row]);
        products += g * (distance * statistics[2u * row + 1u]);
        sum += g;
    }
    partials[2u * slab * cells + cell] = products;
    partials[(2u * slab + 1u) * cells + cell] = sum;
}
