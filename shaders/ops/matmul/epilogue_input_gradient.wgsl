// Epilogue of the gradient of a layer's input: output = product · derivative(x, y) of the previous
// layer's activation, whose output y is this layer's input, and x the activation's input. Linked
// with a matmul core and the activation of the previous layer.

// `kept` holds x; where the derivative needs only y, it is not read.
override KEEP_INPUT: bool = false;

@group(0) @binding(4) var<storage, read_write> output: array<Element>;
@group(0) @binding(5) var<storage, read> kept: array<Element>;
@group(0) @binding(6) var<storage, read> activated: array<Element>;

fn epilogue(place: u32, column: u32, output_start: u32, bias_start: u32, product: Element) {
    var x = Element();
    if KEEP_INPUT {
        x = kept[place];
    }
    output[output_start + place] = product * derivative_each(x, activated[place]);
}
