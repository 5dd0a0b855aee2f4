// A cell of an embedding row is one number: rows of any length.

alias Cell = f32;

struct Cells {
    parameter: Cell,
    first: Cell,
    second: Cell,
    third: Cell,
    fourth: Cell,
}
