// A cell of an embedding's row is four neighbours: rows whose length is a multiple of four.

alias Cell = vec4<f32>;

struct Cells {
    parameter: Cell,
    first: Cell,
    second: Cell,
    third: Cell,
    fourth: Cell,
}
