// f16 rows of any length, two words per four cells. Linked with lib/half.
//
// With an odd row length every second row begins in the middle of a word. The first number of this
// word is the last cell of the previous row. The groups of four of these rows begin one cell
// earlier, so that a group is two whole words in every row. One thread writes the word that two
// rows share: a row group processes both rows in sequence. The thread with the last cell of the
// first row keeps its derivative. The threads of the second row are rotated so that the same thread
// processes its first group.

@group(0) @binding(1) var<storage, read> logits: array<u32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(7) var<storage, read_write> gradients: array<u32>;

// The derivative stored until the other half of its word is known.
var<private> kept_d_logit: f32;

fn begins_inside_word(row: Row) -> bool {
    return (row_length() & row.first & 1u) != 0u;
}

// The first column of a row that begins inside a word is -1: 0xffffffff, which is not a valid
// column.
fn columns_of(row: Row, group: u32, local_index: u32) -> vec4<u32> {
    if !begins_inside_word(row) {
        return 4u * (group * THREADS_PER_ROW + local_index) + vec4<u32>(0u, 1u, 2u, 3u);
    }
    let last_lane = (row_length() - 1u) / 4u % THREADS_PER_ROW;
    return 4u * (group * THREADS_PER_ROW + (local_index + THREADS_PER_ROW - last_lane) % THREADS_PER_ROW) + vec4<u32>(0xffffffffu, 0u, 1u, 2u);
}

// True if any cell of a group is inside the row.
fn reaches(columns: vec4<u32>) -> bool {
    return min(columns.x, columns.y) < row_length();
}

fn inside_of(columns: vec4<u32>) -> vec4<bool> {
    return columns < vec4<u32>(row_length());
}

// The first word of the group.
fn word_of(row: Row, columns: vec4<u32>) -> u32 {
    return (row.first + columns.x) / 2u;
}

fn logits_of(row: Row, columns: vec4<u32>) -> vec4<f32> {
    let word = word_of(row, columns);
    var words = vec2<u32>();
    if IN_PLACE {
        words.x = gradients[word];
        if columns.z < row_length() {
            words.y = gradients[word + 1u];
        }
    } else {
        words.x = logits[word];
        if columns.z < row_length() {
            words.y = logits[word + 1u];
        }
    }
    return select(vec4<f32>(), widened(words), inside_of(columns));
}

fn truths_of(row: Row, columns: vec4<u32>) -> vec4<f32> {
    if HAS_LABELS {
        return vec4<f32>();
    }
    let word = word_of(row, columns);
    var words = vec2<u32>(targets[word], 0u);
    if columns.z < row_length() {
        words.y = targets[word + 1u];
    }
    return select(vec4<f32>(), widened(words), inside_of(columns));
}

fn write_gradients(row: Row, columns: vec4<u32>, d_logits: vec4<f32>) {
    let last = row_length() - 1u;
    var cells = select(vec4<f32>(), d_logits, inside_of(columns));
    if begins_inside_word(row) && columns.y == 0u {
        cells.x = kept_d_logit;
    }
    let words = narrowed(cells);
    let word = word_of(row, columns);
    // True if the row ends in the middle of a word and another row follows.
    let is_shared = (row_length() & 1u) != 0u && !begins_inside_word(row);
    let shares_last = is_shared && row.first + last + 1u < params.rows * row_length();
    if shares_last && columns.x == last {
        kept_d_logit = d_logits.x;
    } else {
        gradients[word] = words.x;
    }
    if shares_last && columns.z == last {
        kept_d_logit = d_logits.z;
    } else if columns.z < row_length() {
        gradients[word + 1u] = words.y;
    }
}

fn logit_at(index: u32) -> f32 {
    if IN_PLACE {
        return unpack2x16float(gradients[index / 2u])[index % 2u];
    }
    return unpack2x16float(logits[index / 2u])[index % 2u];
}

fn label_of(row: u32) -> i32 {
    return bitcast<i32>(targets[row]);
}
