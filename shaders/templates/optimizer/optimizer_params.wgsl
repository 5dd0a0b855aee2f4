// The uniform of every kernel of a step over one flat buffer. Linked with
// templates/optimizer/optimizer_step.

struct Params {
    length: u32, // parameters in the buffer
    spans: u32,  // tensors that cover them; 0 if no option is per tensor
    limit: f32,  // of the clip
    reserved: u32,
    step: Step,
}

@group(0) @binding(0) var<uniform> params: Params;
