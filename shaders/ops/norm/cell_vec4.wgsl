// A cell is four numbers.

alias Cell = vec4<f32>;
const CELL: u32 = 4u;

fn total(x: Cell) -> f32 {
    return (x.x + x.y) + (x.z + x.w);
}

fn first_number(x: Cell) -> f32 {
    return x.x;
}

fn nan_of(x: Cell) -> vec4<bool> {
    return (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
}
