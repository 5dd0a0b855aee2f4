//! Rows that are images, as photographs with what their pixels add to the loss beside them.

use gradus::data::Dataset;
use gradus::explain::{Attributions, IntegratedGradients};
use gradus::{Model, Targets};
use ndarray::Axis;

use crate::page::photo::Pixels;
use crate::page::{Page, Photo};
use crate::samples::Truth;

/// Photographs in a list at most: each takes some hundred gradients.
const MOST: usize = 24;

/// The model and the rows, where these are images.
pub struct Photographs<'a> {
    pub model: &'a mut Model,
    pub rows: &'a Dataset,
    pub truth: &'a Truth,
    /// Height, width and channels; none for rows that are no images.
    pub image: Option<[usize; 3]>,
}

impl Photographs<'_> {
    /// Adds the photographs of rows with their texts; nothing for rows that are no images.
    pub fn add(&mut self, page: &mut Page, rows: &[(usize, String)]) {
        let Some(image) = self.image.filter(|image| {
            !rows.is_empty() && image.iter().product::<usize>() == self.rows.features.ncols()
        }) else {
            return;
        };
        let rows = &rows[..rows.len().min(MOST)];
        let attributions = self.attributions(rows);
        if attributions.is_some() {
            page.paragraph(
                "Beside each image is what its pixels add to its loss: orange raises it, blue lowers it (integrated gradients, against a black \
                 image).",
            );
        }
        let photo = |(place, (row, text)): (usize, &(usize, String))| {
            let values = self.rows.features.row(*row).to_vec();
            let beside = attributions.as_ref().and_then(|found| {
                let parts = found.values.rows().into_iter().nth(place)?.to_vec();
                Some((signed(image, &parts)?, format!("what each pixel adds to the loss: {text}")))
            });
            let pixels = Pixels::new(image, &values)?;
            Some(Photo { pixels, what: text.clone(), beside, text: text.clone() })
        };
        page.photos(&rows.iter().enumerate().filter_map(photo).collect::<Vec<_>>());
    }

    /// None for a model without gradients by its features; the page says it under Features.
    fn attributions(&mut self, rows: &[(usize, String)]) -> Option<Attributions> {
        let places: Vec<usize> = rows.iter().map(|(row, _)| *row).collect();
        let features = self.rows.features.select(Axis(0), &places);
        let asked = IntegratedGradients::new().baseline(vec![0.0; features.ncols()]);
        let mut of = |targets: Targets| asked.attribute(self.model, &features, targets).ok();
        match self.truth {
            Truth::Labels(labels) => of((&labels.select(Axis(0), &places)).into()),
            Truth::Values(values) => of((&values.select(Axis(0), &places)).into()),
            Truth::Grouped(..) => None,
        }
    }
}

/// The sum over the channels of each pixel.
fn signed([height, width, channels]: [usize; 3], parts: &[f64]) -> Option<Pixels> {
    let sums: Vec<f64> = parts.chunks(channels.max(1)).map(|pixel| pixel.iter().sum()).collect();
    Pixels::signed([height, width], &sums)
}
