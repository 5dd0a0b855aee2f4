//! `--model`: the networks that `train` builds, and their options.

use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};
use gradus::activations::{Sigmoid, Softmax};
use gradus::layers::Activate;
use gradus::zoo::{self, Gpt, Vgg11};
use gradus::{Augment, Sequential};
use serde_json::{Value, json};

use crate::numbers;

/// A network by name.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Network {
    /// The layers of --hidden
    Dense,
    /// LeNet-5, for images
    Lenet5,
    /// Two convolutions and 128 units, for images
    #[value(alias = "cnn")]
    SmallCnn,
    /// A residual network of 8 layers, for images
    Resnet8,
    /// A residual network of 20 layers, for images
    Resnet20,
    /// VGG-11 with batch norm, for images of 32 × 32 at least
    Vgg11,
    /// A GPT of characters, for --text
    Gpt,
}

/// The network and its sizes.
#[derive(Args)]
pub struct NetworkOptions {
    /// The network [default: dense; gpt for --text]
    #[arg(long, value_name = "NAME", value_enum, conflicts_with = "resume")]
    model: Option<Network>,
    /// Shape of the images, e.g. 32,32,3: height, width and channels [default: that of IDX files,
    /// else squares of one or three channels]
    #[arg(long, value_name = "H,W[,C]", value_parser = image, conflicts_with = "resume")]
    pub image: Option<Image>,
    /// Random changes of the images trained on, e.g. crop,flip or crop=4,flip,cutout=8: a shift of up
    /// to crop pixels, mirrored left and right, a square set to 0; or `none`. With --resume the saved
    /// ones continue unless this is given
    #[arg(long, value_name = "CHANGES", value_parser = changes)]
    pub augment: Option<Changes>,
    /// Characters that gpt sees at once [default: 64]
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true, conflicts_with = "resume")]
    pub context: Option<NonZeroUsize>,
    /// Blocks of gpt [default: 4]
    #[arg(long, value_name = "N", value_parser = blocks, allow_negative_numbers = true, conflicts_with = "resume")]
    layers: Option<NonZeroUsize>,
    /// Attention heads of a block of gpt [default: 4]
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true, conflicts_with = "resume")]
    heads: Option<NonZeroUsize>,
    /// Numbers per character in gpt, a multiple of --heads [default: 128]
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true, conflicts_with = "resume")]
    width: Option<NonZeroUsize>,
    /// Dropout of gpt and vgg11 [default: 0]
    #[arg(long, value_name = "RATE", value_parser = numbers::share, allow_negative_numbers = true, conflicts_with = "resume")]
    dropout: Option<f64>,
}

/// Blocks of a network: each takes memory before it is known how much.
const MOST_BLOCKS: usize = 1000;

fn blocks(text: &str) -> Result<NonZeroUsize, String> {
    let count = numbers::count(text)?;
    match count.get() {
        ..=MOST_BLOCKS => Ok(count),
        _ => Err(format!("it must be 1 to {MOST_BLOCKS}")),
    }
}

/// Height, width and channels.
#[derive(Clone, Copy, Debug)]
pub struct Image(pub [usize; 3]);

fn image(text: &str) -> Result<Image, String> {
    let sizes = text.split(',').map(|part| part.trim().parse().ok().filter(|size| *size > 0));
    match sizes.collect::<Option<Vec<usize>>>().as_deref() {
        Some(&[height, width]) => Ok(Image([height, width, 1])),
        Some(&[height, width, channels]) => Ok(Image([height, width, channels])),
        _ => {
            Err("it must be height and width, or height, width and channels, such as 32,32,3"
                .into())
        }
    }
}

/// Random changes of the images, with their sizes.
#[derive(Clone, Copy, Debug)]
pub struct Changes(pub Augment);

/// Parses a list as `crop,flip,cutout=12`, or `none`. Sizes are those of the library, whose errors
/// have their range: 0 leaves a change out.
fn changes(text: &str) -> Result<Changes, String> {
    let allowed = "it must be none, or changes such as crop,flip,cutout, with sizes in pixels such as crop=4,cutout=8";
    if text.trim() == "none" {
        return Ok(Changes(Augment::new()));
    }
    let mut augment = Augment::new();
    let mut seen = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (name, size) = match part.split_once('=') {
            Some((name, size)) => {
                let size = size.trim().parse::<usize>().ok();
                (name.trim(), Some(size.ok_or(allowed)?))
            }
            None => (part, None),
        };
        if seen.contains(&name) {
            return Err(format!("{name} is in it twice"));
        }
        seen.push(name);
        augment = match (name, size) {
            ("crop", size) => augment.crop(size.unwrap_or(4)),
            ("flip", None) => augment.flip(true),
            ("cutout", size) => augment.cutout(size.unwrap_or(8)),
            _ => return Err(allowed.into()),
        };
    }
    Ok(Changes(augment))
}

impl Network {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Network::Dense => "dense",
            Network::Lenet5 => "lenet5",
            Network::SmallCnn => "small_cnn",
            Network::Resnet8 => "resnet8",
            Network::Resnet20 => "resnet20",
            Network::Vgg11 => "vgg11",
            Network::Gpt => "gpt",
        }
    }

    pub fn takes_images(self) -> bool {
        !matches!(self, Network::Dense | Network::Gpt)
    }
}

impl NetworkOptions {
    /// The requested network; `None` for the default.
    pub fn model(&self) -> Option<Network> {
        self.model
    }

    /// The first option that a network does not have.
    pub fn unfit(&self, network: Network) -> Option<&'static str> {
        let is_gpt = network == Network::Gpt;
        let drops = matches!(network, Network::Gpt | Network::Vgg11);
        let given = [
            ("--image", self.image.is_some() && !network.takes_images()),
            ("--augment", self.augment.is_some() && !network.takes_images()),
            ("--context", self.context.is_some() && !is_gpt),
            ("--layers", self.layers.is_some() && !is_gpt),
            ("--heads", self.heads.is_some() && !is_gpt),
            ("--width", self.width.is_some() && !is_gpt),
            ("--dropout", self.dropout.is_some() && !drops),
        ];
        given.into_iter().find(|(_, is_unfit)| *is_unfit).map(|(flag, _)| flag)
    }

    /// A network of images with an activation behind its last layer.
    pub fn of_images(
        &self,
        network: Network,
        image: [usize; 3],
        outputs: usize,
        activation: &str,
    ) -> Sequential {
        let layers = match network {
            Network::Lenet5 => zoo::lenet5(image, outputs),
            Network::Resnet8 => zoo::resnet(1, image, outputs),
            Network::Resnet20 => zoo::resnet(3, image, outputs),
            Network::Vgg11 => {
                Vgg11::new().dropout(self.dropout.unwrap_or(0.0)).build(image, outputs)
            }
            _ => zoo::small_cnn(image, outputs),
        };
        match activation {
            "softmax" => layers.named("activation", Activate::new(Softmax)),
            "sigmoid" => layers.named("activation", Activate::new(Sigmoid)),
            _ => layers,
        }
    }

    fn of_gpt(&self) -> [usize; 4] {
        let or = |given: Option<NonZeroUsize>, own| given.map_or(own, NonZeroUsize::get);
        [or(self.context, 64), or(self.layers, 4), or(self.heads, 4), or(self.width, 128)]
    }

    /// A GPT of a vocabulary.
    pub fn gpt(&self, vocabulary: usize) -> Sequential {
        let [context, layers, heads, width] = self.of_gpt();
        let gpt = Gpt::new(vocabulary, context).layers(layers).heads(heads).width(width);
        gpt.dropout(self.dropout.unwrap_or(0.0)).build()
    }

    /// The context of a new GPT.
    pub fn tokens(&self) -> usize {
        self.of_gpt()[0]
    }

    /// The sizes of a new GPT, for the JSON document of settings.
    pub fn gpt_as_json(&self) -> Value {
        let [context, layers, heads, width] = self.of_gpt();
        let dropout = self.dropout.unwrap_or(0.0);
        json!({ "context": context, "layers": layers, "heads": heads, "width": width, "dropout": dropout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_have_sizes_of_their_own_or_the_usual_ones() {
        let parsed = |text: &str| changes(text).map(|Changes(augment)| augment);
        assert_eq!(parsed("crop,flip,cutout"), Ok(Augment::new().crop(4).flip(true).cutout(8)));
        assert_eq!(parsed("cutout=12, crop = 2"), Ok(Augment::new().crop(2).cutout(12)));
        assert_eq!(parsed("flip"), Ok(Augment::new().flip(true)));
        assert_eq!(parsed("none"), Ok(Augment::new()));
        assert_eq!(parsed("crop=0,flip"), Ok(Augment::new().flip(true)));
        let wrong =
            ["", "turn", "flip=2", "crop=-1", "crop=x", "crop,,flip", "crop,crop=2", "none,flip"];
        for wrong in wrong {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
