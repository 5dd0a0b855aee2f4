//! The page of the demo: what the second network gets right and wrong, labels that are probably
//! wrong, a learning rate, and how both trainings went.

use gradus::RowResults;
use gradus::explain::{Attributions, SuspiciousLabels};
use gradus::rates::LearningRates;
use gradus::text::{count, number, significant};
use ndarray::ArrayView1;

use crate::demo::training::{Images, Training};
use crate::output::Outcome;
use crate::page::axis::Axis;
use crate::page::chart::{Chart, Mark};
use crate::page::photo::Pixels;
use crate::page::svg::Colour;
use crate::page::{Page, Photo};
use crate::rates;
use crate::train::page::thinned;

/// The classes of Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf, 2017).
pub const CLASSES: [&str; 10] = [
    "T-shirt",
    "trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
];

/// Photographs in each list.
pub const SHOWN: usize = 12;

/// Points of a line of losses: means of some batches, which alone are noise.
const MOST_POINTS: usize = 120;

/// What the page shows.
pub struct Showcase<'a> {
    pub images: &'a Images,
    /// The trainings with the mean squared error and with the cross-entropy.
    pub trainings: [&'a Training; 2],
    /// What the second network says of the test images.
    pub results: RowResults,
    /// The test images with the largest losses, and what each pixel adds to them.
    pub worst: Vec<usize>,
    pub attributions: Attributions,
    pub labels: SuspiciousLabels,
    pub rates: LearningRates,
    /// The folder of the images, in command lines.
    pub folder: String,
}

/// The name of a class.
fn class(class: usize) -> &'static str {
    CLASSES.get(class).copied().unwrap_or("unknown")
}

/// A loss in a few letters.
fn loss(value: f64) -> String {
    significant(value, 3)
}

fn per_cent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The page.
pub fn page(of: &Showcase, origin: &str) -> Outcome<Page> {
    let mut page = Page::new("gradus demo", origin);
    what_to_do(&mut page, of);
    wrong(&mut page, of);
    right(&mut page, of);
    labels(&mut page, of);
    page.section("A learning rate for this network");
    page.paragraph(&format!(
        "{}. The vertex of the parabola through the best rate and its neighbours lies at {}.",
        of.rates,
        number(of.rates.vertex)
    ));
    page.chart(&rates::page::chart(&of.rates), &rates::page::caption(&of.rates))?;
    curves(&mut page, of)?;
    Ok(page)
}

fn what_to_do(page: &mut Page, of: &Showcase) {
    let [first, second] = of.trainings;
    page.section("What to do");
    page.list([
        format!(
            "Of the photographs that it has never seen, the network gets {} right with the cross-entropy, and {} with the mean squared error after as \
             many steps.",
            per_cent(second.test_accuracy()),
            per_cent(first.test_accuracy())
        ),
        format!(
            "Look at the labels: {} of {} are disputed by two trainings. Some of them are wrong, the others are hard.",
            count(of.labels.disputed().len() as u64),
            count(of.images.train.rows() as u64)
        ),
        format!("Train with a learning rate of {} next.", of.rates.suggestion),
    ]);
    let folder = &of.folder;
    page.code(&format!(
        "gradus train --data {folder} --loss cross_entropy --learning-rate {} \\\n  --out model.safetensors --html train.html\n\
         gradus explain model.safetensors --data {folder} --html explain.html\n\
         gradus rates --data {folder} --loss cross_entropy --html rates.html\n\
         gradus bench --html bench.html",
        of.rates.suggestion
    ));
}

/// The photograph of a row.
fn pixels(row: ArrayView1<f32>) -> Option<Pixels> {
    let values: Vec<f32> = row.to_vec();
    Pixels::new([28, 28, 1], &values)
}

/// What is known of a test image: its class, what it is taken for, and the probabilities of both.
struct Answer {
    target: usize,
    predicted: usize,
    of_target: f64,
    of_predicted: f64,
    loss: f64,
}

impl Answer {
    fn of(results: &RowResults, row: usize) -> Option<Self> {
        let classes = results.classes.as_ref()?;
        let probabilities = classes.probabilities.as_ref()?;
        let (target, predicted) = (*classes.target.get(row)?, *classes.predicted.get(row)?);
        Some(Answer {
            target,
            predicted,
            of_target: *probabilities.get([row, target])?,
            of_predicted: *probabilities.get([row, predicted])?,
            loss: *results.loss.get(row)?,
        })
    }
}

fn wrong(page: &mut Page, of: &Showcase) {
    let (results, all) = (&of.results, of.results.loss.iter().sum::<f64>());
    let answers: Vec<Answer> =
        (0..results.rows()).filter_map(|row| Answer::of(results, row)).collect();
    let wrong = || answers.iter().filter(|answer| answer.target != answer.predicted);
    let share = wrong().map(|answer| answer.loss).sum::<f64>() / all;
    page.section("What it gets wrong");
    page.paragraph(&format!(
        "{} of {} test photographs, which have {} of the loss. Those with the largest losses, each with what its pixels add to the loss beside \
         it: orange raises the loss, blue lowers it (integrated gradients, against a black image).",
        wrong().count(),
        count(answers.len() as u64),
        per_cent(share)
    ));
    let photo = |(place, &row): (usize, &usize)| {
        let answer = Answer::of(results, row)?;
        let parts: Vec<f64> = of.attributions.values.rows().into_iter().nth(place)?.to_vec();
        let beside = Pixels::signed([28, 28], &parts)?;
        let [target, predicted] = [answer.target, answer.predicted].map(class);
        Some(Photo {
            pixels: pixels(of.images.test.features.row(row))?,
            what: format!("{target}, taken for {predicted}"),
            beside: Some((beside, format!("what each pixel adds to the loss of this {target}"))),
            text: format!(
                "{target} ({}), taken for {predicted} ({}); loss {}",
                per_cent(answer.of_target),
                per_cent(answer.of_predicted),
                loss(answer.loss)
            ),
        })
    };
    page.photos(&of.worst.iter().enumerate().filter_map(photo).collect::<Vec<_>>());
}

/// The first photograph of each class that the network gets right: not the best ones.
fn right(page: &mut Page, of: &Showcase) {
    page.section("What it gets right");
    page.paragraph("The first photograph of each class that it gets right, with its loss.");
    let rows = 0..of.results.rows();
    let answers: Vec<(usize, Answer)> =
        rows.filter_map(|row| Some((row, Answer::of(&of.results, row)?))).collect();
    let photo = |wanted: usize| {
        let is_right =
            |(_, answer): &&(usize, Answer)| answer.target == wanted && answer.predicted == wanted;
        let (row, answer) = answers.iter().find(is_right)?;
        Some(Photo {
            pixels: pixels(of.images.test.features.row(*row))?,
            what: format!("{}, recognized", class(wanted)),
            beside: None,
            text: format!(
                "{} ({}); loss {}",
                class(wanted),
                per_cent(answer.of_target),
                loss(answer.loss)
            ),
        })
    };
    page.photos(&(0..CLASSES.len()).filter_map(photo).collect::<Vec<_>>());
}

fn labels(page: &mut Page, of: &Showcase) {
    let disputed = of.labels.disputed();
    page.section("Labels that are probably wrong");
    page.paragraph(&format!(
        "Of the {} photographs that it learns from: two trainings from scratch, by cross-entropy and by generalized cross-entropy, prefer \
         another class than the label for {} of them. These are the most suspicious; suspicion is 1 − the probability of the label, averaged \
         over the epochs.",
        count(of.images.train.rows() as u64),
        count(disputed.len() as u64)
    ));
    let photo = |&row: &usize| {
        let label = class(*of.labels.cross_entropy.target.get(row)?);
        let rather = class(*of.labels.suggested.get(row)?);
        Some(Photo {
            pixels: pixels(of.images.train.features.row(row))?,
            what: format!("labelled {label}, rather {rather}"),
            beside: None,
            text: format!(
                "row {row}: labelled {label}, rather {rather}; suspicion {:.3}",
                of.labels.suspicion.get(row)?
            ),
        })
    };
    page.photos(&disputed.iter().take(SHOWN).filter_map(photo).collect::<Vec<_>>());
}

fn curves(page: &mut Page, of: &Showcase) -> Outcome {
    page.section("How the trainings went");
    let [first, second] = of.trainings;
    let accuracy = |training: &Training| {
        let of_epoch =
            |(epoch, tested): (usize, &[f64; 2])| ((epoch + 1) as f64, 100.0 * tested[1]);
        training.tested.iter().enumerate().map(of_epoch).collect::<Vec<_>>()
    };
    let description = format!(
        "accuracy on test images over epochs, in the end {} with the mean squared error and {} with the cross-entropy",
        per_cent(first.test_accuracy()),
        per_cent(second.test_accuracy())
    );
    let [x, y] = ["epoch", "accuracy in per cent"].map(Axis::linear);
    let chart = Chart::new(description, x, y)
        .series("mean squared error", Colour::Orange, Mark::Points, accuracy(first))
        .series("cross-entropy", Colour::Blue, Mark::Points, accuracy(second));
    page.chart(&chart, "Accuracy on photographs that neither network has seen, after each epoch.")?;
    for (training, name, colour) in
        [(first, "mean squared error", Colour::Orange), (second, "cross-entropy", Colour::Blue)]
    {
        let steps = training.steps.len() as f64 / training.tested.len().max(1) as f64;
        let tested = training.tested.iter().enumerate();
        let tested: Vec<(f64, f64)> =
            tested.map(|(epoch, tested)| (steps * (epoch + 1) as f64, tested[0])).collect();
        let end = tested.last().map_or(f64::NAN, |(_, loss)| *loss);
        let description = format!(
            "{name} over {} steps, {} on test images in the end",
            training.steps.len(),
            number(end)
        );
        let chart = Chart::new(description, Axis::linear("step"), Axis::linear("loss"))
            .series(
                "training",
                colour,
                Mark::Line,
                thinned(training.steps.iter().copied(), MOST_POINTS),
            )
            .series("test", Colour::Green, Mark::Points, tested);
        let caption = format!(
            "{}: means of successive batches before their updates, and of the test images after each epoch.",
            if name.starts_with('m') { "The mean squared error" } else { "The cross-entropy" }
        );
        page.chart(&chart, &caption)?;
    }
    let epochs = second.tested.len();
    let rows = (0..epochs).map(|epoch| {
        let of = |training: &Training, place: usize| {
            training.tested.get(epoch).map_or(f64::NAN, |tested| tested[place])
        };
        [
            (epoch + 1).to_string(),
            number(of(first, 0)),
            per_cent(of(first, 1)),
            number(of(second, 0)),
            per_cent(of(second, 1)),
        ]
    });
    let headings = ["epoch", "mean squared error", "its accuracy", "cross-entropy", "its accuracy"];
    page.table(&headings, 0.., rows.collect::<Vec<_>>());
    Ok(())
}
