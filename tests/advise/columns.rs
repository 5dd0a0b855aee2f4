//! What is wrong with the columns, and what is refused.

use gradus::advise::{AdviseOptions, advise, advise_arrays};
use gradus::data::{Column, Dataset, Table, Target};
use ndarray::Array2;

use crate::samples::{Sample, advice_on, warnings};

#[test]
fn the_answer_among_the_features_and_ids_are_found_and_left_out() {
    let mut sample = Sample::new(400, 30);
    let y: Vec<f64> = sample.line().into_iter().map(|mean| mean + sample.normal()).collect();
    let mut columns = sample.columns(y.clone());
    columns.push(Column::numbers("id", (1..=400).map(f64::from).collect()));
    columns.push(Column::numbers("in_dollars", y.iter().map(|y| (0.3 * y).exp()).collect()));
    let advice = advice_on(columns);
    assert_eq!(warnings(&advice), ["leak", "identifier"]);
    assert_eq!(advice.drop, ["in_dollars", "id"]);
    // Columns that only correlate stay.
    let near = y.iter().map(|y| y + 0.5 * sample.normal()).collect();
    let mut columns = sample.columns(y);
    columns.push(Column::numbers("near", near));
    assert!(advice_on(columns).drop.is_empty());
}

#[test]
fn a_word_for_each_class_is_the_answer() {
    let mut sample = Sample::new(300, 31);
    let class: Vec<f64> = sample
        .line()
        .into_iter()
        .map(|mean| f64::from(u8::from(mean + sample.normal() > 0.0)))
        .collect();
    let word = |class: &f64| if *class > 0.5 { "S" } else { "H" };
    let mut columns = sample.columns(class.clone());
    columns.push(Column::words("code", class.iter().map(word)));
    let advice = advice_on(columns);
    assert_eq!((warnings(&advice), advice.drop), (vec!["leak"], vec!["code".to_string()]));
}

#[test]
fn blanks_are_counted_before_rows_are_left_out() {
    let mut sample = Sample::new(200, 32);
    let mut y: Vec<f64> = sample.line().into_iter().map(|mean| mean + sample.normal()).collect();
    y[3] = f64::NAN;
    let mut columns = sample.columns(y);
    let blank =
        (0..200).map(|row| if row % 10 == 0 { f64::NAN } else { sample.normal() }).collect();
    columns.insert(0, Column::numbers("rooms", blank));
    let advice = advice_on(columns);
    assert_eq!(warnings(&advice), ["missing_target", "missing"]);
    assert!(advice.warnings[0].text.contains("missing in 1 of 200 rows"), "{:?}", advice.warnings);
    assert!(
        advice.warnings[1].text.contains("`rooms` 20 missing (10.0 %)"),
        "{:?}",
        advice.warnings
    );
    assert_eq!(advice.rows, 199);
}

#[test]
fn rows_that_occur_twice_and_groups_are_reported() {
    let mut sample = Sample::new(500, 33);
    let y: Vec<f64> = sample.line().into_iter().map(|mean| mean + sample.normal()).collect();
    let patients: Vec<f64> = (0..500).map(|row| f64::from(row % 60)).collect();
    let twice = |values: &[f64]| values.iter().chain(&values[..20]).copied().collect::<Vec<f64>>();
    let mut columns: Vec<Column> = (0..5)
        .map(|place| {
            let values: Vec<f64> = sample.x.iter().map(|row| row[place]).collect();
            Column::numbers(format!("x{place}"), twice(&values))
        })
        .collect();
    columns.push(Column::numbers("patient_id", twice(&patients)));
    columns.push(Column::numbers("y", twice(&y)));
    let advice = advice_on(columns);
    assert_eq!(warnings(&advice), ["groups", "duplicates"]);
    assert!(advice.warnings[1].text.contains("20 rows (3.8 %)"), "{:?}", advice.warnings);
}

#[test]
fn what_cannot_be_advised_on_is_refused() {
    let sample = Sample::new(30, 34);
    let message = |columns: Vec<Column>, options: AdviseOptions| {
        advise(&Table::new(columns).unwrap(), &options).unwrap_err().to_string()
    };
    let y = || AdviseOptions::default().target("y");
    assert!(message(sample.columns(vec![3.0; 30]), y()).contains("is 3 in all rows"));
    assert!(message(sample.columns(vec![f64::NAN; 30]), y()).contains("rows with a target"));
    assert!(message(sample.columns(sample.line()), AdviseOptions::default()).contains("not named"));
    assert!(message(sample.columns(sample.line()), y().target("z")).contains("known: x0"));
    let mut infinite = sample.line();
    infinite[4] = f64::INFINITY;
    assert!(message(sample.columns(infinite), y()).contains("has inf"));
    let mut columns = sample.columns(sample.line());
    columns.push(Column::words("word", (0..30).map(|row| if row % 2 == 0 { "a" } else { "b" })));
    assert!(message(columns, y().target("word")).contains("has words"));
    let nothing = Dataset::new(Array2::zeros((4, 2)), Target::None).unwrap();
    let error = advise_arrays(&nothing, &AdviseOptions::default()).unwrap_err();
    assert!(error.to_string().contains("targets"), "{error}");
    let nan = Array2::from_elem((4, 2), f32::NAN);
    let rows = Dataset::new(nan, Target::Values(Array2::zeros((4, 1)))).unwrap();
    assert!(advise_arrays(&rows, &AdviseOptions::default()).is_err());
}
