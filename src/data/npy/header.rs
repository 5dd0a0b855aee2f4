//! The header of `.npy`: a Python dictionary.

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`
#[derive(Default)]
pub(super) struct Header {
    pub(super) descr: String,
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

/// Where in the header something is wrong, what stands there and what should.
pub(super) type Wrong = (usize, String, &'static str);

impl Header {
    pub(super) fn parse(text: &[u8]) -> Result<Self, Wrong> {
        let mut cursor = Cursor { text, place: 0 };
        let mut header = Header::default();
        let mut keys = Vec::new();
        cursor.expect("{", "`{` of the header's dictionary")?;
        while !cursor.accept("}") {
            let key = cursor.string("a key: 'descr', 'fortran_order' or 'shape'")?;
            cursor.expect(":", "`:` after a key")?;
            match key.as_str() {
                "descr" => header.descr = cursor.string("a plain type as '<f4', no structure")?,
                "shape" => header.shape = cursor.shape()?,
                "fortran_order" if cursor.accept("True") => header.fortran = true,
                "fortran_order" => cursor.expect("False", "True or False")?,
                _ => {
                    return Err((
                        cursor.place,
                        format!("key `{key}`"),
                        "only 'descr', 'fortran_order' and 'shape'",
                    ));
                }
            }
            keys.push(key);
            if !cursor.accept(",") {
                cursor.expect("}", "`,` or `}`")?;
                break;
            }
        }
        keys.sort();
        match keys.join(" ") == "descr fortran_order shape" {
            true => Ok(header),
            false => Err((
                0,
                format!("keys {keys:?}"),
                "'descr', 'fortran_order' and 'shape', each once",
            )),
        }
    }
}

/// A place in the header's text.
struct Cursor<'a> {
    text: &'a [u8],
    place: usize,
}

impl Cursor<'_> {
    /// Steps over spaces and then over `word`, if it stands there.
    fn accept(&mut self, word: &str) -> bool {
        self.place +=
            self.text[self.place..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let found = self.text[self.place..].starts_with(word.as_bytes());
        self.place += if found { word.len() } else { 0 };
        found
    }

    fn expect(&mut self, word: &str, expected: &'static str) -> Result<(), Wrong> {
        if self.accept(word) { Ok(()) } else { Err(self.wrong(expected)) }
    }

    fn wrong(&self, expected: &'static str) -> Wrong {
        let rest = &self.text[self.place..];
        let start = String::from_utf8_lossy(&rest[..rest.len().min(16)]);
        (
            self.place,
            if rest.is_empty() { "the header's end".into() } else { format!("{start:?}") },
            expected,
        )
    }

    fn string(&mut self, expected: &'static str) -> Result<String, Wrong> {
        let quote = if self.accept("\"") { b'"' } else { b'\'' };
        if quote == b'\'' {
            self.expect("'", expected)?;
        }
        let length = self.text[self.place..]
            .iter()
            .position(|&byte| byte == quote)
            .ok_or_else(|| self.wrong("a closing quote"))?;
        let found =
            String::from_utf8_lossy(&self.text[self.place..self.place + length]).into_owned();
        self.place += length + 1;
        Ok(found)
    }

    fn shape(&mut self) -> Result<Vec<usize>, Wrong> {
        let mut shape = Vec::new();
        self.expect("(", "`(` of a shape")?;
        while !self.accept(")") {
            let digits =
                self.text[self.place..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let size = std::str::from_utf8(&self.text[self.place..self.place + digits])
                .ok()
                .and_then(|size| size.parse().ok());
            shape.push(size.ok_or_else(|| self.wrong("a size"))?);
            self.place += digits;
            if !self.accept(",") {
                self.expect(")", "`,` or `)`")?;
                break;
            }
        }
        Ok(shape)
    }
}
