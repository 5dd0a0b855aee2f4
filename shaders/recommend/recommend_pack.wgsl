// Packs rows so that a matrix product gives scores: users as (p, 1, bias, 0, 0), items as (q, bias,
// 1, 0, 0), whose product is p q + bias of the item + bias of the user.

override WORKGROUP: u32 = 64u;
override IS_ITEMS: bool = false; // all items; of users only `chosen`

struct Params {
    rows: u32,
    cells: u32,
    reserved: vec2<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> chosen: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> packed: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn pack(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.rows * params.cells {
        return;
    }
    var row = index / params.cells;
    let cell = index % params.cells;
    if !IS_ITEMS {
        row = chosen[row];
    }
    var numbers = table[row * params.cells + cell];
    if cell + 1u == params.cells {
        let bias = numbers.x;
        numbers = select(vec4<f32>(1.0, bias, 0.0, 0.0), vec4<f32>(bias, 1.0, 0.0, 0.0), IS_ITEMS);
    }
    packed[index] = numbers;
}
