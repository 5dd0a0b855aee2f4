// Vectors of any length, column by column. The four columns of a group are THREADS_PER_ROW apart,
// so that adjacent threads of a row group read adjacent memory; a single thread reads four adjacent
// columns. No loops: software Vulkan counts their iterations.

@group(0) @binding(1) var<storage, read> firsts: array<f32>;
@group(0) @binding(2) var<storage, read> seconds: array<f32>;
// Vectors, or one target per row.
@group(0) @binding(3) var<storage, read> thirds: array<f32>;
@group(0) @binding(5) var<storage, read_write> first_gradients: array<f32>;
@group(0) @binding(6) var<storage, read_write> second_gradients: array<f32>;
@group(0) @binding(7) var<storage, read_write> third_gradients: array<f32>;

fn columns_of(group: u32, local_index: u32) -> vec4<u32> {
    return (4u * group + vec4<u32>(0u, 1u, 2u, 3u)) * THREADS_PER_ROW + local_index;
}

// Columns past the end of a row are clamped to its last column. They are read but not used.
fn places_of(row: u32, columns: vec4<u32>) -> vec4<u32> {
    return row * row_length() + min(columns, vec4<u32>(row_length() - 1u));
}

fn cells_at(row: u32, columns: vec4<u32>) -> Cells {
    let p = places_of(row, columns);
    var cells = Cells(
        vec4<f32>(firsts[p.x], firsts[p.y], firsts[p.z], firsts[p.w]),
        vec4<f32>(seconds[p.x], seconds[p.y], seconds[p.z], seconds[p.w]),
        vec4<f32>(),
    );
    if HAS_THIRD {
        cells.third = vec4<f32>(thirds[p.x], thirds[p.y], thirds[p.z], thirds[p.w]);
    }
    return cells;
}

fn truth_at(row: u32) -> f32 {
    return thirds[row];
}

fn write_first(row: u32, columns: vec4<u32>, d_vector: vec4<f32>) {
    let p = places_of(row, columns);
    let kept = inside_of(columns);
    first_gradients[p.x] = d_vector.x;
    if kept.y {
        first_gradients[p.y] = d_vector.y;
    }
    if kept.z {
        first_gradients[p.z] = d_vector.z;
    }
    if kept.w {
        first_gradients[p.w] = d_vector.w;
    }
}

fn write_second(row: u32, columns: vec4<u32>, d_vector: vec4<f32>) {
    let p = places_of(row, columns);
    let kept = inside_of(columns);
    second_gradients[p.x] = d_vector.x;
    if kept.y {
        second_gradients[p.y] = d_vector.y;
    }
    if kept.z {
        second_gradients[p.z] = d_vector.z;
    }
    if kept.w {
        second_gradients[p.w] = d_vector.w;
    }
}

fn write_third(row: u32, columns: vec4<u32>, d_vector: vec4<f32>) {
    let p = places_of(row, columns);
    let kept = inside_of(columns);
    third_gradients[p.x] = d_vector.x;
    if kept.y {
        third_gradients[p.y] = d_vector.y;
    }
    if kept.z {
        third_gradients[p.z] = d_vector.z;
    }
    if kept.w {
        third_gradients[p.w] = d_vector.w;
    }
}
