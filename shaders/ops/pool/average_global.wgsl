// The average of all pixels by channel, on hardware: a workgroup per row and four cells of
// channels, in slices of pixels whose sums are added in order. Linked with pool and a cell.

@group(0) @binding(1) var<storage, read> inputs: array<Cell>;
@group(0) @binding(2) var<storage, read_write> outputs: array<Cell>;

const CELLS: u32 = 4u;

var<workgroup> sums: array<Cell, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn average_global(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let groups = (params.channels + CELLS - 1u) / CELLS;
    let group = workgroup.y * count.x + workgroup.x;
    let row = group / groups;
    let channel = group % groups * CELLS + local_index % CELLS;
    // Of all rows: `cells` is what is written.
    let is_used = channel < params.channels && row * params.channels < params.cells;
    let pixels = params.input_height * params.input_width;
    let slices = WORKGROUP / CELLS;
    var sum = Cell(0.0);
    if is_used {
        for (var pixel = local_index / CELLS; pixel < pixels; pixel += slices) {
            sum += inputs[(row * pixels + pixel) * params.channels + channel];
        }
    }
    sums[local_index] = sum;
    workgroupBarrier();
    if is_used && local_index < CELLS {
        for (var slice = 1u; slice < slices; slice += 1u) {
            sum += sums[slice * CELLS + local_index];
        }
        outputs[row * params.channels + channel] = sum / f32(pixels);
    }
}
