// A cell is one number: rows whose length is no multiple of four.

alias Cell = f32;
const CELL: u32 = 1u;

fn total(x: Cell) -> f32 {
    return x;
}

fn first_number(x: Cell) -> f32 {
    return x;
}

fn nan_of(x: Cell) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}
