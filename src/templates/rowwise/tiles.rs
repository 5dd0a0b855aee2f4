//! Short rows of labels, transposed in tiles: each vector holds the same class of many rows. A few
//! classes would not fill a vector, and a sum along them would be a horizontal reduction.

use crate::templates::rowwise::rows::{Rows, stored};

/// Rows in a tile.
pub(crate) const TILE: usize = 64;

/// Maximum number of classes of rows processed in tiles.
pub(crate) const SHORT: usize = 64;

/// One number per row of a tile.
pub(crate) type Lanes = [f32; TILE];

/// The rows of a tile. A tile at the end may have fewer rows than lanes: the other lanes hold
/// numbers of no meaning, and label 0.
pub(crate) struct Tile<'a> {
    /// [classes][rows]: the logits, to be replaced with the derivatives times their `scale`, except
    /// at the labels.
    pub cells: &'a mut [Lanes],
    /// The labels.
    pub labels: &'a [usize; TILE],
    /// The factor of the derivatives of each row.
    pub scales: &'a Lanes,
}

/// Value and derivative at the label for each row of a tile; a value that is not finite marks a row
/// for the general path.
pub(crate) struct TileFound {
    pub value: Lanes,
    pub label: Lanes,
}

impl Tile<'_> {
    /// Takes the logits of the labels out of the tile and leaves −∞ in their places.
    #[inline(always)]
    pub(crate) fn take_labels(&mut self) -> Lanes {
        let mut own = [0.0; TILE];
        for (lane, (own, &label)) in own.iter_mut().zip(self.labels).enumerate() {
            *own = std::mem::replace(&mut self.cells[label][lane], f32::NEG_INFINITY);
        }
        own
    }

    /// The largest number of each row; NaN is passed over.
    #[inline(always)]
    pub(crate) fn maxima(&self) -> Lanes {
        let mut maxima = [f32::NEG_INFINITY; TILE];
        for column in self.cells.iter() {
            for (maximum, &x) in maxima.iter_mut().zip(column) {
                *maximum = if x > *maximum { x } else { *maximum };
            }
        }
        maxima
    }

    /// 0 for each row of finite numbers, NaN for the others.
    #[inline(always)]
    #[expect(clippy::eq_op, reason = "∞ − ∞ is NaN")]
    pub(crate) fn taint(&self) -> Lanes {
        let mut taint = [0.0; TILE];
        for column in self.cells.iter() {
            for (taint, &x) in taint.iter_mut().zip(column) {
                *taint += x - x;
            }
        }
        taint
    }
}

/// True for rows that [`label_tiles`] takes.
#[inline(always)]
pub(crate) fn are_short<T: Copy>(rows: &Rows<'_, f32, T>) -> bool {
    rows.columns <= SHORT && rows.class_mask.is_empty()
}

/// Value and gradient of the rows from `first` on, one row per value, tile by tile. The class
/// weights are factors of a row by its label. `otherwise` is called for each row that needs the
/// general path, with its index, its gradient and its value.
#[inline(always)]
pub(crate) fn label_tiles<T: Copy>(
    rows: &Rows<'_, f32, T>,
    labels: &[i32],
    first: usize,
    gradient: &mut [f32],
    values: &mut [f32],
    loss: impl Fn(Tile<'_>) -> TileFound,
    mut otherwise: impl FnMut(usize, &mut [f32], &mut f32),
) {
    let columns = rows.columns;
    let mut cells = [[0.0; TILE]; SHORT];
    let cells = &mut cells[..columns];
    let mut gathered = Gathered::new();
    let pieces = gradient.chunks_mut(TILE * columns).zip(values.chunks_mut(TILE));
    for (number, (gradient, values)) in pieces.enumerate() {
        let first = first + number * TILE;
        gathered.gather(rows, labels, first, values.len());
        load(&rows.logits[first * columns..][..gradient.len()], cells);
        let Gathered { labels, plain, weights, scales } = &gathered;
        let found = loss(Tile { cells, labels, scales });
        store(cells, gradient);
        let mut are_plain = true;
        for (lane, (row, value)) in
            gradient.chunks_exact_mut(columns).zip(values.iter_mut()).enumerate().take(TILE)
        {
            row[labels[lane]] = found.label[lane];
            *value = weights[lane] * found.value[lane];
            are_plain &= plain[lane] & found.value[lane].is_finite();
        }
        if are_plain {
            continue;
        }
        let rows = gradient.chunks_exact_mut(columns).zip(values);
        for (lane, (row, value)) in rows.enumerate() {
            if !(plain[lane] && found.value[lane].is_finite()) {
                otherwise(first + lane, row, value);
            }
        }
    }
}

/// The labels of a tile, which of its rows count, and their factors.
struct Gathered {
    labels: [usize; TILE],
    plain: [bool; TILE],
    weights: Lanes,
    scales: Lanes,
}

impl Gathered {
    fn new() -> Self {
        Gathered {
            labels: [0; TILE],
            plain: [false; TILE],
            weights: [0.0; TILE],
            scales: [0.0; TILE],
        }
    }

    /// Whatever the rows do not have is not looked up row by row.
    #[inline(always)]
    fn gather<T: Copy>(
        &mut self,
        rows: &Rows<'_, f32, T>,
        labels: &[i32],
        first: usize,
        count: usize,
    ) {
        let labels = &labels[first..][..count.min(TILE)];
        self.plain = [true; TILE];
        for &ignored in rows.ignored {
            let ignored = stored(ignored);
            for (plain, &label) in self.plain.iter_mut().zip(labels) {
                *plain &= label != ignored;
            }
        }
        if !rows.mask.is_empty() {
            for (plain, &keeps) in self.plain.iter_mut().zip(&rows.mask[first..]) {
                *plain &= keeps;
            }
        }
        self.labels = [0; TILE];
        for (place, (&label, &plain)) in self.labels.iter_mut().zip(labels.iter().zip(&self.plain))
        {
            *place = if plain { label as usize } else { 0 };
        }
        self.weights = [rows.factor; TILE];
        if !rows.weight.is_empty() {
            for (weight, &own) in self.weights.iter_mut().zip(&rows.weight[first..]) {
                *weight *= own;
            }
        }
        if !rows.class_weight.is_empty() {
            for (weight, &label) in self.weights.iter_mut().zip(&self.labels) {
                *weight *= rows.class_weight[label];
            }
        }
        self.scales = self.weights.map(|weight| weight * rows.upstream);
        if !rows.upstreams.is_empty() {
            for (scale, &own) in self.scales.iter_mut().zip(&rows.upstreams[first..]) {
                *scale *= own;
            }
        }
    }
}

/// Columns and rows of the squares that are transposed in registers.
const SIDE: usize = 4;

/// Transposes rows into the cells of a tile.
#[inline(always)]
fn load(logits: &[f32], cells: &mut [Lanes]) {
    let columns = cells.len();
    let count = (logits.len() / columns).min(TILE);
    let whole = if count == TILE { columns / SIDE * SIDE } else { 0 };
    let (squares, rest) = cells.split_at_mut(whole);
    let (squares, _) = squares.as_chunks_mut::<SIDE>();
    for (number, four) in squares.iter_mut().enumerate() {
        for lane in (0..TILE).step_by(SIDE) {
            let mut square = [[0.0; SIDE]; SIDE];
            for (k, row) in square.iter_mut().enumerate() {
                row.copy_from_slice(&logits[(lane + k) * columns + number * SIDE..][..SIDE]);
            }
            for (column, turned) in four.iter_mut().zip(turned(square)) {
                column[lane..][..SIDE].copy_from_slice(&turned);
            }
        }
    }
    match rest {
        [a] => load_rest([a], logits, columns),
        [a, b] => load_rest([a, b], logits, columns),
        [a, b, c] => load_rest([a, b, c], logits, columns),
        _ => {
            for (lane, row) in logits.chunks_exact(columns).enumerate().take(TILE) {
                rest.iter_mut().zip(row).for_each(|(column, &x)| column[lane] = x);
            }
        }
    }
}

/// The last columns of rows.
#[inline(always)]
fn load_rest<const N: usize>(rest: [&mut Lanes; N], logits: &[f32], columns: usize) {
    for (lane, row) in logits.chunks_exact(columns).enumerate().take(TILE) {
        let Some(last) = row.last_chunk::<N>() else { return };
        for k in 0..N {
            rest[k][lane] = last[k];
        }
    }
}

/// Transposes the cells of a tile back into rows.
#[inline(always)]
fn store(cells: &[Lanes], gradient: &mut [f32]) {
    let columns = cells.len();
    let count = (gradient.len() / columns).min(TILE);
    let whole = if count == TILE { columns / SIDE * SIDE } else { 0 };
    let (squares, rest) = cells.split_at(whole);
    let (squares, _) = squares.as_chunks::<SIDE>();
    for (number, four) in squares.iter().enumerate() {
        for lane in (0..TILE).step_by(SIDE) {
            let mut square = [[0.0; SIDE]; SIDE];
            for (row, column) in square.iter_mut().zip(four) {
                row.copy_from_slice(&column[lane..][..SIDE]);
            }
            for (k, turned) in turned(square).iter().enumerate() {
                gradient[(lane + k) * columns + number * SIDE..][..SIDE].copy_from_slice(turned);
            }
        }
    }
    match rest {
        [a] => store_rest([a], gradient, columns),
        [a, b] => store_rest([a, b], gradient, columns),
        [a, b, c] => store_rest([a, b, c], gradient, columns),
        _ => {
            for (lane, row) in gradient.chunks_exact_mut(columns).enumerate().take(TILE) {
                row.iter_mut().zip(rest).for_each(|(slot, column)| *slot = column[lane]);
            }
        }
    }
}

/// The last columns of rows.
#[inline(always)]
fn store_rest<const N: usize>(rest: [&Lanes; N], gradient: &mut [f32], columns: usize) {
    for (lane, row) in gradient.chunks_exact_mut(columns).enumerate().take(TILE) {
        let Some(last) = row.last_chunk_mut::<N>() else { return };
        for k in 0..N {
            last[k] = rest[k][lane];
        }
    }
}

#[inline(always)]
fn turned(square: [[f32; SIDE]; SIDE]) -> [[f32; SIDE]; SIDE] {
    let mut turned = [[0.0; SIDE]; SIDE];
    for (i, row) in square.iter().enumerate() {
        for (j, &x) in row.iter().enumerate() {
            turned[j][i] = x;
        }
    }
    turned
}
