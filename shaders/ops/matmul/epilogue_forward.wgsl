// Epilogue of a layer's forward pass: output = activate(product + bias). Linked with a matmul core
// and an activation.

override HAS_BIAS: bool = true;
// Also stores the activation's input, for activations whose derivative needs it.
override KEEP_INPUT: bool = false;

@group(0) @binding(3) var<storage, read> bias: array<Element>;
@group(0) @binding(4) var<storage, read_write> output: array<Element>;
@group(0) @binding(5) var<storage, read_write> kept: array<Element>;

// `place` is the element's index in the product, `column` its column.
fn epilogue(place: u32, column: u32, output_start: u32, bias_start: u32, product: Element) {
    var x = product;
    if HAS_BIAS {
        x += bias[bias_start + column];
    }
    if KEEP_INPUT {
        kept[place] = x;
    }
    output[output_start + place] = activate_each(x);
}
