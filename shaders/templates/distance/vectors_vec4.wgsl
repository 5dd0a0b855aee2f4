// Vectors whose length is a multiple of four, four columns at a time.

@group(0) @binding(1) var<storage, read> firsts: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> seconds: array<vec4<f32>>;
// Vectors, or one target per row.
@group(0) @binding(3) var<storage, read> thirds: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> first_gradients: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> second_gradients: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> third_gradients: array<vec4<f32>>;

fn columns_of(group: u32, local_index: u32) -> vec4<u32> {
    return 4u * (group * THREADS_PER_ROW + local_index) + vec4<u32>(0u, 1u, 2u, 3u);
}

fn place_of(row: u32, columns: vec4<u32>) -> u32 {
    return (row * row_length() + columns.x) / 4u;
}

fn cells_at(row: u32, columns: vec4<u32>) -> Cells {
    let place = place_of(row, columns);
    var cells = Cells(firsts[place], seconds[place], vec4<f32>());
    if HAS_THIRD {
        cells.third = thirds[place];
    }
    return cells;
}

fn truth_at(row: u32) -> f32 {
    return thirds[row / 4u][row % 4u];
}

fn write_first(row: u32, columns: vec4<u32>, d_vector: vec4<f32>) {
    first_gradients[place_of(row, columns)] = d_vector;
}

fn write_second(row: u32, columns: vec4<u32>, d_vector: vec4<f32>) {
    second_gradients[place_of(row, columns)] = d_vector;
}

fn write_third(row: u32, columns: vec4<u32>, d_vector: vec4<f32>) {
    third_gradients[place_of(row, columns)] = d_vector;
}
