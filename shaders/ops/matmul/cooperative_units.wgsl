// Matrices of matrix units: loads, a product with its sum, and the store to workgroup memory. Linked
// with cooperative.wgsl. In naga `coopLoadT` reads by rows and `coopLoad` by columns.
//
// From the header: the types Left, Right and Sum.

@group(0) @binding(1) var<storage, read> left: array<f16>;
@group(0) @binding(2) var<storage, read> right: array<f16>;

fn load_left(place: u32, stride: u32) -> Left {
    if LEFT_BY_ROW {
        return coopLoadT<Left>(&left[place], stride);
    }
    return coopLoad<Left>(&left[place], stride);
}

fn load_right(place: u32, stride: u32) -> Right {
    if RIGHT_BY_ROW {
        return coopLoadT<Right>(&right[place], stride);
    }
    return coopLoad<Right>(&right[place], stride);
}

fn multiply_add(x: Left, y: Right, sum: Sum) -> Sum {
    return coopMultiplyAdd(x, y, sum);
}

fn store_sum(sum: Sum, place: u32) {
    // naga's SPIR-V writer wants the stride by name.
    let stride = TILE;
    coopStoreT(sum, &finished[place], stride);
}
