//! Networks of images: what they take, the shape of the images, and their scaling.

use gradus::data::{self, Dataset};
use gradus::{Model, Sequential};

use crate::output::{self, Failure, Outcome};
use crate::samples::Task;
use crate::train::network::{Image, Network};
use crate::train::options::Train;

impl Train {
    /// The network to train; of a resumed run, only that it is of text.
    pub(super) fn network(&self) -> Network {
        let own = if self.source.text().is_some() { Network::Gpt } else { Network::Dense };
        self.network.model().unwrap_or(own)
    }

    /// Rejects options of another network: ignoring one would train something other than
    /// requested.
    pub(super) fn check_network(&self) -> Outcome {
        let (network, text) = (self.network(), self.source.text());
        let name = network.name();
        let refused = |message: String| Err(Failure::Usage(message));
        match (network, text) {
            (Network::Gpt, None) => {
                return refused("--model gpt: it is trained on a text: --text FILE".into());
            }
            (Network::Gpt, _) | (_, None) => {}
            (_, Some(_)) => {
                return refused(format!("--text: --model {name} takes no text; gpt does"));
            }
        }
        // What a saved model is, only its file says: the library refuses what does not fit it.
        let is_known = self.resume.is_none() || text.is_some();
        if let Some(flag) = self.network.unfit(network).filter(|_| is_known) {
            return refused(format!("{flag}: --model {name} has no such option; leave it out"));
        }
        if network == Network::Dense {
            return match (&self.loss, &self.resume) {
                (None, None) => refused("--loss is needed; `gradus losses` lists them".into()),
                _ => Ok(()),
            };
        }
        let given =
            [("--hidden", self.hidden.is_some()), ("--activation", self.activation != "relu")];
        if let Some((flag, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
            return refused(format!("{flag}: --model {name} has its own layers; leave it out"));
        }
        let path = self.source.path();
        if network.takes_images() && !self.source.is_images() && data::is_table(path) {
            return refused(format!(
                "--model {name}: it takes images (a folder of IDX files, .npy, .npz); {} is a table",
                path.display()
            ));
        }
        Ok(())
    }

    /// A network for the images of a data set.
    pub(super) fn of_images(
        &self,
        network: Network,
        rows: &Dataset,
        task: &Task,
    ) -> Outcome<Sequential> {
        let columns = rows.features.ncols();
        let image = match (self.network.image, self.source.image()?) {
            (Some(Image(asked)), Some(found)) if asked != found => {
                let of =
                    |[height, width, channels]: [usize; 3]| format!("{height},{width},{channels}");
                return Err(Failure::Failed(format!(
                    "--image is {}; the images of {} are {}, as the file says: leave --image out",
                    of(asked),
                    self.source.path().display(),
                    of(found)
                )));
            }
            (Some(Image(asked)), _) if asked.iter().product::<usize>() == columns => asked,
            (Some(Image([height, width, channels])), _) => {
                return Err(Failure::Failed(format!(
                    "--image is {height},{width},{channels}, which is {} numbers; a row of {} has {columns}",
                    height.saturating_mul(width).saturating_mul(channels),
                    self.source.path().display()
                )));
            }
            (None, Some(found)) => found,
            (None, None) => {
                let Some([height, width, channels]) = square(columns) else {
                    return Err(Failure::Failed(format!(
                        "--model {}: a row of {} has {columns} numbers, which are no square image of one or three channels; --image H,W,C says \
                         what it is",
                        network.name(),
                        self.source.path().display()
                    )));
                };
                output::note(&format!(
                    "note: the {columns} numbers of a row are taken for an image of {height} × {width} × {channels}; --image says otherwise"
                ));
                [height, width, channels]
            }
        };
        Ok(self.network.of_images(network, image, task.outputs, task.activation))
    }
}

/// The square image of one channel, or else of three, that a row of numbers may be.
fn square(columns: usize) -> Option<[usize; 3]> {
    [1, 3].into_iter().find_map(|channels| {
        let side = (columns / channels).isqrt();
        (side * side * channels == columns).then_some([side, side, channels])
    })
}

/// Scales all pixels by the same mean and deviation: a convolution takes every place alike.
pub(super) fn scale_pixels(model: &mut Model, rows: &Dataset) -> Outcome {
    let pixels = || rows.features.iter().map(|&pixel| f64::from(pixel));
    let (count, columns) = (rows.features.len().max(1) as f64, rows.features.ncols());
    let mean = pixels().sum::<f64>() / count;
    let deviation = (pixels().map(|pixel| (pixel - mean).powi(2)).sum::<f64>() / count).sqrt();
    let scale = if deviation > 0.0 { deviation } else { 1.0 };
    Ok(model.set_input_scaling(vec![mean; columns], vec![scale; columns])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_of_one_and_three_channels() {
        assert_eq!(square(784), Some([28, 28, 1]));
        assert_eq!(square(3072), Some([32, 32, 3]));
        assert_eq!((square(785), square(6)), (None, None));
    }
}
