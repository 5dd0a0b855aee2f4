// End of the gradient of a layer's input: output = product · derivative(x, y) of the layer below, whose output y this layer's
// input is, and x what its activation was given. Linked with a matmul core and the activation of the layer below.

// `kept` holds x; where the derivative needs y alone, nothing is read from it.
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
