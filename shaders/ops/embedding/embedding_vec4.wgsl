// A cell of an embedding row is four adjacent numbers: rows whose length is a multiple of four.

alias Cell = vec4<f32>;

struct Cells {
    parameter: Cell,
    first: Cell,
    second: Cell,
    third: Cell,
    fourth: Cell,
}
