//! Augmentation: random changes of the images of a training batch, made while they are gathered.
//!
//! The changes of a row follow from the model's seed, the epoch and the row's number in the data
//! set alone, so they depend neither on the batch nor on the device. Only copies and zeros are
//! written: each device sees the same bits. The GPU kernel is `gather_images.wgsl`.

use crate::cpu::random::philox;
use crate::cpu::real::Real;
use crate::nn::graph::op::Noise;
use crate::{Error, Result};

/// Second word of the counters, distinct from those of row orders, dropout and initial weights.
pub(crate) const DOMAIN: u32 = 0x6175_676d;

/// Random changes of the images that a model is trained on: a crop, a flip and a cutout, in this
/// order, drawn again for each image in each epoch. Set by [`Fit::augment`](crate::Fit::augment).
///
/// They follow from the model's seed, the epoch and the image's row in the data set: the same on
/// every device, for any size of the batches, in any order of the rows, and in a training that is
/// resumed. [`Model::fit_blocks`](crate::Model::fit_blocks) counts a row from the first one of its
/// epoch that no earlier block has trained on; the draws then depend on the size of the batches.
/// Validation, evaluation, predictions and reported R² see the images as they are.
///
/// Zeros are those of the network's input: with an input scaling
/// ([`Model::set_input_scaling`](crate::Model::set_input_scaling)), the mean of the pixel.
///
/// ```
/// use gradus::{Augment, Fit};
/// // The usual choice for CIFAR-10.
/// let fit = Fit::new().augment(Augment::new().crop(4).flip(true).cutout(8));
/// # let _ = fit;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Augment {
    crop: usize,
    flip: bool,
    cutout: usize,
}

impl Augment {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the image by −`padding` to `padding` whole pixels in each direction, both drawn
    /// uniformly; pixels from outside are 0 (default 0). At most the smaller side − 1. torchvision
    /// `RandomCrop(size, padding)`.
    pub fn crop(mut self, padding: usize) -> Self {
        self.crop = padding;
        self
    }

    /// Mirrors left and right with probability ½ (default false). torchvision
    /// `RandomHorizontalFlip`.
    pub fn flip(mut self, flip: bool) -> Self {
        self.flip = flip;
        self
    }

    /// Sets a square of `size` × `size` pixels to 0 (default 0: none). Its centre is drawn
    /// uniformly from the image's pixels, and what lies outside is clipped. At most the smaller
    /// side.
    ///
    /// Source: T. DeVries, G. Taylor, Improved regularization of convolutional neural networks with
    /// cutout, 2017.
    pub fn cutout(mut self, size: usize) -> Self {
        self.cutout = size;
        self
    }

    /// True if images are changed.
    pub(crate) fn changes(&self) -> bool {
        *self != Augment::default()
    }

    /// Rejects an input that is no image, and changes larger than it.
    pub(crate) fn check(&self, input: &[usize]) -> Result<()> {
        if !self.changes() {
            return Ok(());
        }
        let &[height, width, _] = input else {
            let allowed = format!(
                "left out: it takes images [height, width, channels], and the model's input is \
                 {input:?}"
            );
            return Err(Error::option("fit", "augment", "given", &allowed));
        };
        let side = height.min(width);
        let text = |most: usize| format!("0 to {most} for images of {height} × {width}");
        if self.crop >= side {
            return Err(Error::option("augment", "crop", self.crop, &text(side.max(1) - 1)));
        }
        if self.cutout > side {
            return Err(Error::option("augment", "cutout", self.cutout, &text(side)));
        }
        Ok(())
    }
}

/// An augmentation of images of one size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImageAugment {
    augment: Augment,
    height: usize,
    width: usize,
    channels: usize,
}

/// What happens to one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// A pixel is taken from this many rows below and columns to the right, before the flip.
    pub offset: [isize; 2],
    pub flipped: bool,
    /// Row and column of the square's centre.
    pub centre: [usize; 2],
}

/// The uniform of the image kernel after that of all gathers.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct AugmentParams {
    pub height: u32,
    pub columns: u32,
    pub channels: u32,
    pub crop: u32,
    pub flip: u32,
    pub cutout: u32,
    pub reserved: [u32; 2],
    /// The model's seed, the epoch, and the number of the data set's first row.
    pub noise: Noise,
}

/// A word as a number below `count`.
fn below(word: u32, count: usize) -> usize {
    // The high half of a product of two 32-bit words.
    ((u64::from(word) * count as u64) >> 32) as usize
}

impl ImageAugment {
    /// `None` if nothing changes or the rows are no images.
    pub fn new(augment: Option<Augment>, input: &[usize]) -> Option<Self> {
        let augment = augment.filter(Augment::changes)?;
        match *input {
            [height, width, channels] if height * width * channels > 0 => {
                Some(ImageAugment { augment, height, width, channels })
            }
            _ => None,
        }
    }

    /// The changes of a row. `noise` holds the seed, the epoch and the number of the data set's
    /// first row.
    pub fn change(&self, noise: Noise, row: usize) -> Change {
        let [low, high, epoch, first] = noise;
        let number = first.wrapping_add(row as u32);
        let [down, right, mirror, _] = philox([number, DOMAIN, epoch, 0], [low, high]);
        let [y, x, ..] = philox([number, DOMAIN, epoch, 1], [low, high]);
        let crop = self.augment.crop;
        let offset = [down, right].map(|word| below(word, 2 * crop + 1) as isize - crop as isize);
        Change {
            offset,
            flipped: self.augment.flip && mirror >> 31 == 1,
            centre: [below(y, self.height), below(x, self.width)],
        }
    }

    /// The pixel that becomes (y, x); `None` for 0.
    fn source(&self, change: &Change, y: usize, x: usize) -> Option<[usize; 2]> {
        let (half, size) = (self.augment.cutout / 2, self.augment.cutout);
        let is_inside = |at: usize, centre: usize| (centre..centre + size).contains(&(at + half));
        if is_inside(y, change.centre[0]) && is_inside(x, change.centre[1]) {
            return None;
        }
        let x = if change.flipped { self.width - 1 - x } else { x };
        let from_y = y.checked_add_signed(change.offset[0]).filter(|&y| y < self.height)?;
        let from_x = x.checked_add_signed(change.offset[1]).filter(|&x| x < self.width)?;
        Some([from_y, from_x])
    }

    /// Writes the changed image.
    #[cfg(test)]
    pub fn copy<R: Real>(&self, change: &Change, from: &[R], to: &mut [R]) {
        self.copy_as(change, from, to, |x| x);
    }

    /// Writes the changed image, each of whose numbers is a function of what `from` holds.
    pub fn copy_as<T: Copy, R: Real>(
        &self,
        change: &Change,
        from: &[T],
        to: &mut [R],
        number: impl Fn(T) -> R,
    ) {
        for (at, pixel) in to.chunks_exact_mut(self.channels).enumerate() {
            match self.source(change, at / self.width, at % self.width) {
                Some([y, x]) => {
                    let start = (y * self.width + x) * self.channels;
                    let from = &from[start..start + self.channels];
                    pixel.iter_mut().zip(from).for_each(|(to, &from)| *to = number(from));
                }
                None => pixel.fill(R::ZERO),
            }
        }
    }

    /// The kernel's uniform.
    pub fn params(&self, noise: Noise) -> AugmentParams {
        AugmentParams {
            height: self.height as u32,
            columns: self.width as u32,
            channels: self.channels as u32,
            crop: self.augment.crop as u32,
            flip: self.augment.flip.into(),
            cutout: self.augment.cutout as u32,
            reserved: [0; 2],
            noise,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: Noise = [7, 0, 2, 0];

    fn of(augment: Augment, input: [usize; 3]) -> ImageAugment {
        ImageAugment::new(Some(augment), &input).unwrap()
    }

    fn copied(augment: Augment, input: [usize; 3], change: Change) -> Vec<f32> {
        let count = input.iter().product();
        let from: Vec<f32> = (1..=count).map(|number| number as f32).collect();
        let mut to = vec![-1.0; count];
        of(augment, input).copy(&change, &from, &mut to);
        to
    }

    #[test]
    fn a_crop_moves_an_image_and_zeros_come_from_outside() {
        let augment = Augment::new().crop(2);
        let change = Change { offset: [1, -1], flipped: false, centre: [0, 0] };
        let found = copied(augment, [3, 3, 1], change);
        assert_eq!(found, [0.0, 4.0, 5.0, 0.0, 7.0, 8.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_flip_mirrors_pixels_with_all_their_channels_after_the_crop() {
        let change = Change { offset: [0, 0], flipped: true, centre: [0, 0] };
        let found = copied(Augment::new().flip(true), [1, 3, 2], change);
        assert_eq!(found, [5.0, 6.0, 3.0, 4.0, 1.0, 2.0]);
        // Cropped to [2, 3, 0], then mirrored.
        let change = Change { offset: [0, 1], ..change };
        let found = copied(Augment::new().flip(true).crop(1), [2, 3, 1], change);
        assert_eq!(found, [0.0, 3.0, 2.0, 0.0, 6.0, 5.0]);
    }

    #[test]
    fn a_cutout_is_a_square_about_its_centre_clipped_at_the_border() {
        let cut = |size: usize, centre: [usize; 2]| -> Vec<usize> {
            let change = Change { offset: [0, 0], flipped: false, centre };
            let found = copied(Augment::new().cutout(size), [4, 4, 1], change);
            (0..16).filter(|&at| found[at] == 0.0).collect()
        };
        assert_eq!(cut(1, [2, 1]), [9]);
        assert_eq!(cut(2, [2, 2]), [5, 6, 9, 10]);
        assert_eq!(cut(3, [2, 2]), [5, 6, 7, 9, 10, 11, 13, 14, 15]);
        assert_eq!(cut(3, [0, 3]), [2, 3, 6, 7]);
        assert_eq!(cut(4, [0, 0]), [0, 1, 4, 5]);
    }

    #[test]
    fn draws_reach_all_values_about_equally_often() {
        let image = of(Augment::new().crop(2).flip(true).cutout(1), [4, 6, 1]);
        let all: Vec<Change> = (0..6000).map(|row| image.change(NOISE, row)).collect();
        let share = |is: &dyn Fn(&Change) -> bool| {
            all.iter().filter(|change| is(change)).count() as f64 / all.len() as f64
        };
        let check = |found: f64, expected: f64| {
            // Five standard deviations.
            let off = 5.0 * (expected * (1.0 - expected) / 6000.0).sqrt();
            assert!((found - expected).abs() < off, "{found}, {expected}");
        };
        check(share(&|change| change.flipped), 0.5);
        for axis in [0, 1] {
            for offset in -2..=2 {
                check(share(&|change| change.offset[axis] == offset), 0.2);
            }
        }
        for y in 0..4 {
            check(share(&|change| change.centre[0] == y), 1.0 / 4.0);
        }
        for x in 0..6 {
            check(share(&|change| change.centre[1] == x), 1.0 / 6.0);
        }
        check(share(&|change| change.flipped && change.offset == [2, -2]), 0.5 / 25.0);
    }

    #[test]
    fn draws_follow_the_seed_the_epoch_and_the_rows_number() {
        let image = of(Augment::new().crop(3).flip(true).cutout(2), [8, 8, 3]);
        let some = |noise: Noise| (0..8).map(|row| image.change(noise, row)).collect::<Vec<_>>();
        assert_eq!(some(NOISE), some(NOISE));
        for other in [[8, 0, 2, 0], [7, 1, 2, 0], [7, 0, 3, 0], [7, 0, 2, 1]] {
            assert_ne!(some(NOISE), some(other), "{other:?}");
        }
        assert_eq!(image.change([7, 0, 2, 5], 3), image.change(NOISE, 8));
        // No draw goes into another.
        let less = of(Augment::new().crop(3), [8, 8, 3]);
        assert_eq!(less.change(NOISE, 1).offset, image.change(NOISE, 1).offset);
    }

    #[test]
    fn only_images_are_changed_and_by_no_more_than_they_hold() {
        let all = Augment::new().crop(3).flip(true).cutout(4);
        assert!(all.check(&[4, 5, 1]).is_ok());
        assert!(Augment::new().check(&[7]).is_ok());
        let text = all.check(&[16]).unwrap_err().to_string();
        assert!(text.contains("augment") && text.contains("[16]"), "{text}");
        let text = all.crop(4).check(&[4, 5, 1]).unwrap_err().to_string();
        assert!(text.contains("crop") && text.contains('4') && text.contains("0 to 3"), "{text}");
        let text = all.cutout(usize::MAX).check(&[4, 5, 1]).unwrap_err().to_string();
        assert!(text.contains("cutout") && text.contains("0 to 4"), "{text}");
        assert!(ImageAugment::new(Some(Augment::new()), &[4, 4, 1]).is_none());
        assert!(ImageAugment::new(Some(all), &[4]).is_none());
    }
}
