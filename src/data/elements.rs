//! Numbers as they lie in binary files: their types, widths and byte orders.

/// The type of the numbers in a binary file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
    F64,
}

/// Which byte of a number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Big,
    Little,
}

impl Element {
    /// Bytes for each number.
    pub(super) fn size(self) -> usize {
        match self {
            Element::Bool | Element::U8 | Element::I8 => 1,
            Element::U16 | Element::I16 | Element::F16 => 2,
            Element::U32 | Element::I32 | Element::F32 => 4,
            Element::U64 | Element::I64 | Element::F64 => 8,
        }
    }

    /// Whether such numbers are whole by their type.
    pub(super) fn is_integer(self) -> bool {
        !matches!(self, Element::F16 | Element::F32 | Element::F64)
    }

    /// The numbers, each rounded to the nearest f32.
    pub(super) fn to_f32(self, bytes: &[u8], order: Order) -> Vec<f32> {
        match self {
            Element::Bool | Element::U8 => bytes.iter().map(|&byte| f32::from(byte)).collect(),
            Element::I8 => bytes.iter().map(|&byte| f32::from(byte as i8)).collect(),
            Element::U16 => each(bytes, order, |number| f32::from(u16::from_be_bytes(number))),
            Element::I16 => each(bytes, order, |number| f32::from(i16::from_be_bytes(number))),
            Element::U32 => each(bytes, order, |number| u32::from_be_bytes(number) as f32),
            Element::I32 => each(bytes, order, |number| i32::from_be_bytes(number) as f32),
            Element::U64 => each(bytes, order, |number| u64::from_be_bytes(number) as f32),
            Element::I64 => each(bytes, order, |number| i64::from_be_bytes(number) as f32),
            Element::F16 => each(bytes, order, |number| half::f16::from_be_bytes(number).to_f32()),
            Element::F32 => each(bytes, order, f32::from_be_bytes),
            Element::F64 => each(bytes, order, |number| f64::from_be_bytes(number) as f32),
        }
    }

    /// The first number that is finite and becomes an infinity in f32, with its place.
    pub(super) fn first_beyond_f32(self, bytes: &[u8], order: Order) -> Option<(usize, f64)> {
        if self != Element::F64 {
            return None;
        }
        let is_beyond = |(_, x): &(usize, f64)| x.is_finite() && !(*x as f32).is_finite();
        each(bytes, order, f64::from_be_bytes).into_iter().enumerate().find(is_beyond)
    }

    /// The numbers as whole ones, or the index and value of the first that is none (or none that fits).
    pub(super) fn to_i64(self, bytes: &[u8], order: Order) -> Result<Vec<i64>, (usize, f64)> {
        match self {
            Element::Bool | Element::U8 => Ok(bytes.iter().map(|&byte| i64::from(byte)).collect()),
            Element::I8 => Ok(bytes.iter().map(|&byte| i64::from(byte as i8)).collect()),
            Element::U16 => Ok(each(bytes, order, |number| i64::from(u16::from_be_bytes(number)))),
            Element::I16 => Ok(each(bytes, order, |number| i64::from(i16::from_be_bytes(number)))),
            Element::U32 => Ok(each(bytes, order, |number| i64::from(u32::from_be_bytes(number)))),
            Element::I32 => Ok(each(bytes, order, |number| i64::from(i32::from_be_bytes(number)))),
            Element::I64 => Ok(each(bytes, order, i64::from_be_bytes)),
            Element::U64 => each(bytes, order, u64::from_be_bytes)
                .into_iter()
                .enumerate()
                .map(|(index, number)| i64::try_from(number).map_err(|_| (index, number as f64)))
                .collect(),
            Element::F16 => {
                whole(each(bytes, order, |number| half::f16::from_be_bytes(number).to_f64()))
            }
            Element::F32 => {
                whole(each(bytes, order, |number| f64::from(f32::from_be_bytes(number))))
            }
            Element::F64 => whole(each(bytes, order, f64::from_be_bytes)),
        }
    }
}

fn whole(numbers: Vec<f64>) -> Result<Vec<i64>, (usize, f64)> {
    // 2⁵³: beyond it not every whole number is an f64.
    let fits = |number: f64| number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    let each =
        |(index, number)| if fits(number) { Ok(number as i64) } else { Err((index, number)) };
    numbers.into_iter().enumerate().map(each).collect()
}

/// `read` of each `N` bytes, turned to big-endian first; bytes left over at the end are dropped.
fn each<const N: usize, T>(bytes: &[u8], order: Order, read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (numbers, _) = bytes.as_chunks::<N>();
    let turned = |number: &[u8; N]| {
        let mut number = *number;
        if order == Order::Little {
            number.reverse();
        }
        read(number)
    };
    numbers.iter().map(turned).collect()
}
