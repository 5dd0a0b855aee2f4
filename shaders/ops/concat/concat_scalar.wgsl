// A cell of one number: runs of any length.

alias Cell = f32;
