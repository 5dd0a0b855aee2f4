// A cell of four numbers: runs in multiples of four.

alias Cell = vec4<f32>;
