// Epilogue of the gradient of a layer's parameters: stored, or added to the output if
// params.accumulate is 1. Linked with a matmul core.

@group(0) @binding(4) var<storage, read_write> output: array<Element>;

fn epilogue(place: u32, column: u32, output_start: u32, bias_start: u32, product: Element) {
    var value = product;
    if params.accumulate != 0u {
        value += output[output_start + place];
    }
    output[output_start + place] = value;
}
