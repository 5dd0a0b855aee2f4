//! Photographs in a page: their pixels as a PNG inside the page's text.

use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// The letters of base64 (RFC 4648).
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Pixels of an image, row after row.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels {
    pub width: usize,
    pub height: usize,
    /// Bytes of a pixel: 1 for grey, 3 for red, green and blue, 4 with opacity.
    channels: usize,
    bytes: Vec<u8>,
}

impl Pixels {
    /// An image of one or three channels from numbers in [0, 1], or of any other range, which then
    /// becomes black to white; none for other shapes.
    pub fn new([height, width, channels]: [usize; 3], values: &[f32]) -> Option<Self> {
        if !matches!(channels, 1 | 3) || !is_shape([height, width, channels], values.len()) {
            return None;
        }
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let (low, high) = (finite().fold(0.0, f32::min), finite().fold(1.0, f32::max));
        let byte = |&value: &f32| (255.0 * (value - low) / (high - low)).round() as u8;
        Some(Pixels { width, height, channels, bytes: values.iter().map(byte).collect() })
    }

    /// Signed parts of the pixels in something: orange above 0, blue below, and the more opaque the
    /// larger. The page's own background is 0.
    pub fn signed([height, width]: [usize; 2], values: &[f64]) -> Option<Self> {
        if !is_shape([height, width, 1], values.len()) {
            return None;
        }
        let most = values.iter().filter(|value| value.is_finite());
        let most = most.fold(0.0, |most: f64, value| most.max(value.abs()));
        let pixel = |&value: &f64| {
            let [red, green, blue] = if value > 0.0 { [222, 120, 20] } else { [45, 125, 220] };
            let share = if most > 0.0 { value.abs() / most } else { 0.0 };
            [red, green, blue, (255.0 * share).round() as u8]
        };
        Some(Pixels { width, height, channels: 4, bytes: values.iter().flat_map(pixel).collect() })
    }

    /// The address of the image itself: a PNG as `data:`.
    pub fn address(&self) -> String {
        format!("data:image/png;base64,{}", base64(&self.png()))
    }

    fn png(&self) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        let colour = match self.channels {
            1 => 0,
            3 => 2,
            _ => 6,
        };
        let mut header = Vec::new();
        header.extend((self.width as u32).to_be_bytes());
        header.extend((self.height as u32).to_be_bytes());
        header.extend([8, colour, 0, 0, 0]);
        chunk(&mut file, b"IHDR", &header);
        // Before each line stands its filter: none.
        let lines = self.bytes.chunks(self.width * self.channels);
        let lines: Vec<u8> =
            lines.flat_map(|line| std::iter::once(0).chain(line.iter().copied())).collect();
        chunk(&mut file, b"IDAT", &compressed(&lines));
        chunk(&mut file, b"IEND", &[]);
        file
    }
}

/// True for an image with as many values that PNG can hold.
fn is_shape([height, width, channels]: [usize; 3], values: usize) -> bool {
    let limit = |size: usize| (1..=4096).contains(&size);
    limit(height) && limit(width) && height * width * channels == values
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    // Writing into memory does not fail; without the bytes a browser shows the text of the image.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn chunk(file: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
    let mut check = Crc::new();
    check.update(name);
    check.update(content);
    file.extend((content.len() as u32).to_be_bytes());
    file.extend(name);
    file.extend(content);
    file.extend(check.sum().to_be_bytes());
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |place: usize| u32::from(three.get(place).copied().unwrap_or(0));
        let bits = (at(0) << 16) | (at(1) << 8) | at(2);
        for place in 0..4 {
            let is_padding = place > three.len();
            let letter = LETTERS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if is_padding { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let of = |text: &str| base64(text.as_bytes());
        assert_eq!(
            ["", "f", "fo", "foo", "foob"].map(of),
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]
        );
    }

    #[test]
    fn the_png_holds_the_pixels() {
        let pixels = Pixels::new([2, 3, 1], &[0.0, 0.5, 1.0, 1.0, 0.0, 0.2]).unwrap();
        let png = pixels.png();
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x03\0\0\0\x02\x08\0"));
        let at = png.windows(4).position(|four| four == b"IDAT").unwrap();
        let mut lines = Vec::new();
        flate2::read::ZlibDecoder::new(&png[at + 4..]).read_to_end(&mut lines).unwrap();
        assert_eq!(lines, [0, 0, 128, 255, 0, 255, 0, 51]);
        // The checksum that every PNG has at its end.
        assert!(png.ends_with(b"IEND\xae\x42\x60\x82"));
    }

    #[test]
    fn other_ranges_and_shapes() {
        assert_eq!(Pixels::new([1, 2, 1], &[-1.0, 3.0]).unwrap().bytes, [0, 255]);
        assert_eq!(Pixels::new([1, 2, 1], &[0.0, f32::NAN]).unwrap().bytes, [0, 0]);
        assert!(
            Pixels::new([2, 2, 1], &[0.0]).is_none() && Pixels::new([1, 1, 2], &[0.0; 2]).is_none()
        );
        let signed = Pixels::signed([1, 3], &[1.0, -0.5, 0.0]).unwrap();
        assert_eq!(signed.bytes, [222, 120, 20, 255, 45, 125, 220, 128, 45, 125, 220, 0]);
    }
}
