//! Attention in plain operators: products, a softmax, masks and rotations.

use crate::nn::onnx::writer::{Attribute, Writer};
use crate::nn::ops::attention::{Attention, Pairs, Rotary};

/// The score of a key that is not seen: its exponential is 0 beside any other.
const UNSEEN: f64 = f32::MIN as f64;

/// Attention of [rows, T, 3E], and of lengths [rows, 1] where the op has them.
pub(super) fn attention(
    writer: &mut Writer,
    op: &Attention,
    packed: &str,
    lengths: Option<&str>,
) -> String {
    let (tokens, heads) = (op.tokens, op.heads);
    let depth = op.width / heads;
    let sizes = [tokens, 3, heads, depth].map(|size| size as i64);
    let split = writer.reshape(packed, &[0, sizes[0], sizes[1], sizes[2], sizes[3]]);
    // [3, rows, heads, T, D].
    let order = [2, 0, 3, 1, 4];
    let split = writer.node("Transpose", &[&split], &[("perm", Attribute::Ints(&order))]);
    let thirds: [String; 3] = writer.split(&split, 0);
    let axis = writer.integers(&[0]);
    let [mut q, mut k, v] = thirds.map(|third| writer.node("Squeeze", &[&third, &axis], &[]));
    if let Some(rotary) = op.rotary {
        let angles = Angles::new(writer, op, rotary);
        [q, k] = [q, k].map(|part| angles.rotate(writer, &part));
    }
    let factor = writer.float(op.scale.unwrap_or_else(|| 1.0 / (depth as f64).sqrt()));
    let q = writer.node("Mul", &[&q, &factor], &[]);
    let k = writer.node("Transpose", &[&k], &[("perm", Attribute::Ints(&[0, 1, 3, 2]))]);
    let mut scores = writer.node("MatMul", &[&q, &k], &[]);
    if op.causal {
        let sees = |query: usize| (0..tokens).map(move |key| key <= query);
        let seen: Vec<bool> = (0..tokens).flat_map(sees).collect();
        let (seen, unseen) = (writer.flags(&[tokens, tokens], &seen), writer.float(UNSEEN));
        scores = writer.node("Where", &[&seen, &scores, &unseen], &[]);
    }
    let lengths = lengths.filter(|_| op.has_lengths).map(|lengths| {
        let lengths = writer.reshape(lengths, &[-1, 1, 1, 1]);
        let places: Vec<f64> = (0..tokens).map(|place| place as f64).collect();
        let places = writer.floats(&[tokens], &places);
        let seen = writer.node("Less", &[&places, &lengths], &[]);
        let unseen = writer.float(UNSEEN);
        scores = writer.node("Where", &[&seen, &scores, &unseen], &[]);
        lengths
    });
    let p = writer.node("Softmax", &[&scores], &[("axis", Attribute::Int(-1))]);
    let mut output = writer.node("MatMul", &[&p, &v], &[]);
    if let Some(lengths) = lengths {
        // A row without keys has the output 0.
        let zero = writer.float(0.0);
        let is_there = writer.node("Greater", &[&lengths, &zero], &[]);
        output = writer.node("Where", &[&is_there, &output, &zero], &[]);
    }
    let output = writer.node("Transpose", &[&output], &[("perm", Attribute::Ints(&[0, 2, 1, 3]))]);
    writer.reshape(&output, &[0, sizes[0], op.width as i64])
}

/// Constants of a rotation.
struct Angles {
    pairs: Pairs,
    half: i64,
    cos: String,
    sin: String,
}

impl Angles {
    fn new(writer: &mut Writer, op: &Attention, rotary: Rotary) -> Self {
        let half = op.width / op.heads / 2;
        let shape = match rotary.pairs {
            Pairs::Halves => vec![op.tokens, half],
            Pairs::Interleaved => vec![op.tokens, half, 1],
        };
        let angles = op.angles::<f64>();
        let [cos, sin] = [0, 1].map(|part| {
            let values: Vec<f64> = angles.iter().map(|pair| pair[part]).collect();
            writer.floats(&shape, &values)
        });
        Angles { pairs: rotary.pairs, half: half as i64, cos, sin }
    }

    /// Rotates the pairs of [rows, heads, T, D].
    fn rotate(&self, writer: &mut Writer, input: &str) -> String {
        let is_interleaved = self.pairs == Pairs::Interleaved;
        let input = match is_interleaved {
            true => writer.reshape(input, &[0, 0, 0, self.half, 2]),
            false => input.to_string(),
        };
        let [x, y]: [String; 2] = writer.split(&input, -1);
        let mut product = |left: &str, right: &str| writer.node("Mul", &[left, right], &[]);
        let [x_cos, y_sin] = [product(&x, &self.cos), product(&y, &self.sin)];
        let [x_sin, y_cos] = [product(&x, &self.sin), product(&y, &self.cos)];
        let first = writer.node("Sub", &[&x_cos, &y_sin], &[]);
        let second = writer.node("Add", &[&x_sin, &y_cos], &[]);
        let axis = [("axis", Attribute::Int(-1))];
        let rotated = writer.node("Concat", &[&first, &second], &axis);
        match is_interleaved {
            true => writer.reshape(&rotated, &[0, 0, 0, 2 * self.half]),
            false => rotated,
        }
    }
}
