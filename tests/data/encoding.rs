//! Encoding of table columns as numbers: the result for each kind of column, and consistent
//! encoding of further files.
#![cfg(feature = "data")]

use gradus::data::{
    Column, Encoding, EncodingOptions, Table, TableOptions, Target, TargetEncoding, TargetKind,
};
use ndarray::array;

fn table(text: &str) -> Table {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    std::fs::write(&path, text).unwrap();
    Table::read(&path, &TableOptions::default()).unwrap()
}

fn fitted(table: &Table, target: &str, kind: TargetKind) -> Encoding {
    let rows: Vec<usize> = (0..table.rows()).collect();
    Encoding::fit(table, &rows, &EncodingOptions::default().target(target).kind(kind)).unwrap()
}

fn message<T: std::fmt::Debug>(outcome: gradus::Result<T>) -> String {
    let message = outcome.unwrap_err().to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn each_kind_of_column_becomes_numbers() {
    let text = "time,size,colour,ok,same,y\n1600000000,2,red,True,7,1\n1600000002,,blue,False,7,0\n1600000004,4,,True,7,1\n1600000006,9,red,,7,0\n";
    let table = table(text);
    let encoding = fitted(&table, "y", TargetKind::Classes);
    let found = encoding.apply(&table).unwrap();
    let names = [
        "time",
        "size",
        "size is blank",
        "colour=blue",
        "colour=red",
        "colour is blank",
        "ok",
        "ok is blank",
    ];
    assert_eq!(found.feature_names, names);
    // Times are 0, 2, 4, 6 from the first: mean 3, deviation √5.
    let time = found.features.column(0).to_vec();
    for (time, offset) in time.iter().zip([-3.0_f64, -1.0, 1.0, 3.0]) {
        assert!((f64::from(*time) - offset / 5.0_f64.sqrt()).abs() < 1e-6, "{time}");
    }
    // The median of 2, 4, 9 replaces a blank: (4 − 5) / √(26 / 3).
    assert!((f64::from(found.features[[1, 1]]) + 1.0 / (26.0_f64 / 3.0).sqrt()).abs() < 1e-6);
    assert_eq!(found.features.column(2).to_vec(), [0.0, 1.0, 0.0, 0.0]);
    // The most frequent word, and a flag for the blank.
    assert_eq!(found.features.row(2).to_vec()[3..6], [0.0, 1.0, 1.0]);
    assert_eq!(found.features.column(6).to_vec(), [1.0, 0.0, 1.0, 1.0]);
    let report = encoding.report();
    let same = report.iter().find(|column| column.column == "same").unwrap();
    assert_eq!((same.taken_for, &*same.became, same.columns), ("left out", "7 in all rows", 0));
    let text = serde_json::to_string(&encoding).unwrap();
    assert_eq!(serde_json::from_str::<Encoding>(&text).unwrap(), encoding);
}

#[test]
fn another_file_is_encoded_alike_whatever_its_order() {
    let train = table("a,colour,y\n1,red,u\n2,blue,v\n3,red,u\n");
    let encoding = fitted(&train, "y", TargetKind::Classes);
    let other = table("extra,y,colour,a\n9,v,blue,2\n9,u,green,1\n");
    let found = encoding.apply(&other).unwrap();
    assert_eq!(found.features.row(0), encoding.apply(&train).unwrap().features.row(1));
    assert_eq!(found.labels().unwrap().to_vec(), [1, 0]);
    assert_eq!(found.features.row(1).to_vec()[1..], [0.0, 0.0]);
    let report = encoding.surprises(&other).unwrap();
    assert!(report.len() == 1 && report[0].contains("`green` in line 3"), "{report:?}");
    assert!(message(encoding.apply(&table("colour,y\nred,u\n"))).contains("unknown column of"));
    let unknown = message(encoding.apply(&table("a,colour,y\n1,red,u\n2,red,w\n")));
    assert!(
        unknown.contains("line 3, column `y`: class `w`") && unknown.contains("u, v"),
        "{unknown}"
    );
    assert_eq!(encoding.apply(&table("a,colour\n1,red\n")).unwrap().target, Target::None);
}

#[test]
fn rows_without_names_are_taken_in_order_where_the_target_is_missing() {
    let train = table("1,red,0.5\n2,blue,1.5\n3,red,0.5\n");
    assert!(!train.has_header());
    let rows = [0, 1, 2];
    let encoding = Encoding::fit(
        &train,
        &rows,
        &EncodingOptions::default().target("0").kind(TargetKind::Numbers),
    )
    .unwrap();
    let found = encoding.apply(&table("red,0.5\nblue,1.5\n")).unwrap();
    assert_eq!(found.features, encoding.features(&train, &[0, 1]).unwrap());
}

#[test]
fn many_words_share_a_column_and_words_of_their_own_are_left_out() {
    let rows = 400;
    let common: Vec<String> = (0..rows).map(|row| format!("w{}", (row * row) % 97)).collect();
    let own: Vec<String> = (0..rows).map(|row| format!("row {row}")).collect();
    let columns = vec![
        Column::words("common", common.iter().map(String::as_str)),
        Column::words("own", own.iter().map(String::as_str)),
        Column::numbers("y", (0..rows).map(|row| row as f64).collect()),
    ];
    let table = Table::new(columns).unwrap();
    let options = EncodingOptions {
        categories: 10,
        ..EncodingOptions::default().target("y").kind(TargetKind::Numbers)
    };
    let encoding = Encoding::fit(&table, &(0..rows).collect::<Vec<_>>(), &options).unwrap();
    let found = encoding.apply(&table).unwrap();
    assert_eq!((found.features.ncols(), &*found.feature_names[10]), (11, "common=(others)"));
    assert!(found.features.rows().into_iter().all(|row| row.sum() == 1.0));
    let report = encoding.report();
    assert_eq!(
        (report[1].taken_for, &*report[1].became),
        ("left out", "400 different words in 400 rows")
    );
}

#[test]
fn classes_are_what_stands_in_the_file() {
    let classes =
        |text: &str| fitted(&table(text), "y", TargetKind::Classes).target().classes().to_vec();
    assert_eq!(classes("a,y\n1,7\n2,5\n3,10\n"), ["5", "7", "10"]);
    assert_eq!(classes("a,y\n1,-1\n2,+1\n"), ["-1", "1"]);
    assert_eq!(classes("a,y\n1,True\n2,False\n"), ["False", "True"]);
    assert_eq!(classes("a,y\n1,0\n2,x\n3,1\n"), ["0", "1", "x"]);
    assert_eq!(classes("a,y\n1,1.0\n2,2.5\n"), ["1", "2.5"]);
    let many: String =
        (0..30).fold("a,y\n".into(), |text, row| text + &format!("{row},{row}.25\n"));
    let rows: Vec<usize> = (0..30).collect();
    let refused =
        message(Encoding::fit(&table(&many), &rows, &EncodingOptions::default().target("y")));
    assert!(
        refused.contains("line 2, column `y`: `0.25`, one of 30 different numbers"),
        "{refused}"
    );
}

#[test]
fn several_targets_are_labels_or_one_class_or_numbers() {
    let rows = [0, 1, 2];
    let fit = |text: &str, kind| {
        let table = table(text);
        let options = EncodingOptions::default().target("p").target("q").kind(kind);
        Encoding::fit(&table, &rows, &options).and_then(|encoding| encoding.apply(&table))
    };
    let one = "a,p,q\n1,1,0\n2,0,1\n3,1,0\n";
    assert_eq!(
        fit(one, TargetKind::Flags).unwrap().target,
        Target::Values(array![[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    );
    assert_eq!(
        fit(one, TargetKind::Signs).unwrap().target,
        Target::Values(array![[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0]])
    );
    let classes = fit(one, TargetKind::Classes).unwrap();
    assert_eq!(
        (classes.labels().unwrap().to_vec(), classes.classes().unwrap()),
        (vec![0, 1, 0], vec!["p".into(), "q".into()])
    );
    let several = "a,p,q\n1,1,1\n2,0,1\n3,1,0\n";
    assert!(
        message(fit(several, TargetKind::Classes)).contains("line 2: 2 of the 2 targets say yes")
    );
    assert!(
        message(fit("a,p,q\n1,1,3\n2,0,1\n3,1,0\n", TargetKind::Flags))
            .contains("line 2, column `q`: `3`")
    );
    assert_eq!(
        fit("a,p,q\n1,1.5,3\n2,0,1\n3,1,0\n", TargetKind::Numbers).unwrap().target.clone(),
        Target::Values(array![[1.5, 3.0], [0.0, 1.0], [1.0, 0.0]])
    );
}

#[test]
fn numbers_are_standardized_and_reported_in_their_unit_again() {
    let table = table("a,y\n1,100\n2,200\n3,300\n4,1000000\n5,\n");
    let rows = [0, 1, 2, 3];
    let fit = |kind| {
        Encoding::fit(&table, &rows, &EncodingOptions::default().target("y").kind(kind)).unwrap()
    };
    let median = fit(TargetKind::MedianStandardized);
    // Quartiles of 100, 200, 300, 10⁶: 175 and 250,225.
    let TargetEncoding::Numbers { center, scale, .. } = median.target() else {
        panic!("{median:?}")
    };
    assert_eq!(center, &[250.0]);
    assert!((scale[0] - 250_050.0 / 1.349).abs() < 1e-6);
    let encoded = median.apply_rows(&table, &rows).unwrap().values().unwrap();
    for (found, expected) in median.decode(&encoded).iter().zip([100.0, 200.0, 300.0, 1e6]) {
        assert!((found - expected).abs() < 0.1, "{found}");
    }
    assert_eq!(median.rows_with_target(&table), rows);
    assert!(
        message(median.apply(&table))
            .contains("line 6, column `y`: a blank cell; expected a target")
    );
}

#[test]
fn what_cannot_be_learned_from_is_refused() {
    let fit = |text: &str| {
        let table = table(text);
        let rows: Vec<usize> = (0..table.rows()).collect();
        message(Encoding::fit(&table, &rows, &EncodingOptions::default().target("y")))
    };
    assert!(fit("a,y\n1,0\n1,1\n").contains("has no column left to learn from"));
    assert!(fit("a,y\n1,0\ninf,1\n").contains("line 3, column `a`: `inf`"));
    assert!(fit("a,b\n1,0\n2,1\n").contains("unknown column of"));
    let mut text =
        (0..20).fold("a,y\n".to_string(), |text, row| text + &format!("{row}.5,{}\n", row % 2));
    text += "oops,1\n";
    let refused = fit(&text);
    assert!(
        refused
            .contains("line 22, column `a`: `oops`; expected a number, as in 20 of the 21 cells"),
        "{refused}"
    );
    assert!(
        message(Encoding::fit(&table("a,y\n1,2\n"), &[], &EncodingOptions::default()))
            .contains("hold no rows")
    );
}

#[test]
fn words_that_are_blanks_among_numbers_stay_words_in_a_file_of_their_own() {
    let train = table("grade,z,y\nNone,1,+\nMild,2,-\nSevere,3,+\nMild,4,-\n");
    let encoding = fitted(&train, "y", TargetKind::Classes);
    let one = table("grade,z,y\nNone,1,-\n");
    let found = encoding.apply(&one).unwrap();
    assert_eq!(found.features.row(0), encoding.apply(&train).unwrap().features.row(0));
    assert_eq!(
        (encoding.rows_with_target(&one), encoding.surprises(&one).unwrap()),
        (vec![0], vec![])
    );
    assert_eq!(found.labels().unwrap().to_vec(), [1]); // `+` comes before `-`
    // An unseen word gets no known category; a target is not blank for it.
    let unknown = encoding.apply(&table("grade,z,y\n?,1,+\n")).unwrap();
    assert_eq!(unknown.features.row(0).to_vec()[..3], [0.0; 3]);
    // Among numeric classes they are still blanks.
    let numbers = fitted(&table("z,y\n1,0\n2,1\n3,?\n"), "y", TargetKind::Classes);
    assert_eq!(numbers.rows_with_target(&table("z,y\n1,?\n2,1\n")), [1]);
}

#[test]
fn a_feature_is_not_taken_for_the_target_that_a_file_without_names_lacks() {
    let train = table("5.5,1.5,2.5\n6.5,2.5,4.5\n7.5,1.0,0.5\n");
    assert!(!train.has_header());
    let encoding = fitted(&train, "0", TargetKind::Standardized);
    let alone = table("1.5,2.5\n2.5,4.5\n1.0,0.5\n");
    let found = encoding.apply(&alone).unwrap();
    assert_eq!(found.target, Target::None);
    assert_eq!(found.features, encoding.apply(&train).unwrap().features);
}

#[test]
fn side_features_are_sparse_and_lists_are_words_of_their_own() {
    let rows: Vec<usize> = (0..40).collect();
    let genres: Vec<String> = rows
        .iter()
        .map(|row| ["Drama|War", "War", "", "Comedy | Drama|Drama|"][row % 4].into())
        .collect();
    let titles: Vec<String> = rows.iter().map(|row| format!("Film {row}")).collect();
    let town: Vec<&str> = rows.iter().map(|row| if row % 2 == 0 { "Ulm" } else { "" }).collect();
    let table = Table::new(vec![
        Column::words("title", titles.iter().map(String::as_str)),
        Column::words("genres", genres.iter().map(String::as_str)),
        Column::words("town", town),
        Column::numbers(
            "awarded",
            rows.iter().map(|row| if row % 10 == 0 { 1.0 } else { 0.0 }).collect(),
        ),
        Column::numbers(
            "year",
            rows.iter()
                .map(|row| if *row == 1 { f64::NAN } else { 1990.0 + (*row % 3) as f64 })
                .collect(),
        ),
    ])
    .unwrap();
    let encoding = Encoding::fit(&table, &rows, &EncodingOptions::side_features()).unwrap();
    assert_eq!(
        encoding.names(),
        ["genres=Comedy", "genres=Drama", "genres=War", "town=Ulm", "awarded", "year"]
    );
    let report: Vec<String> = encoding.report().iter().map(ToString::to_string).collect();
    assert!(report[0].contains("title: left out: 40 different words in 40 rows"), "{report:?}");
    assert!(
        report[1].contains("lists of words: a column for each of 3 words (Comedy, Drama, War)"),
        "{report:?}"
    );
    assert!(report[1].contains("10 blank(s) count as nothing"), "{report:?}");
    let found = encoding.features(&table, &[0, 1, 2, 3]).unwrap();
    assert_eq!(found.row(0).to_vec()[..5], [0.0, 1.0, 1.0, 1.0, 1.0]);
    assert_eq!(found.row(1).to_vec(), [0.0, 0.0, 1.0, 0.0, 0.0, 0.0], "no town and no year");
    assert_eq!(found.row(2).to_vec()[..4], [0.0, 0.0, 0.0, 1.0], "no genre");
    assert_eq!(found.row(3).to_vec()[..3], [1.0, 1.0, 0.0], "each once, without spaces");
    // An unseen word is ignored; networks' options support no lists.
    let other = Table::new(
        table
            .columns()
            .iter()
            .map(|column| match column.name() {
                "genres" => Column::words("genres", std::iter::repeat_n("Western|War", 40)),
                _ => column.clone(),
            })
            .collect(),
    )
    .unwrap();
    assert_eq!(encoding.features(&other, &[0]).unwrap().row(0).to_vec()[..3], [0.0, 0.0, 1.0]);
    let plain = Encoding::fit(&table, &rows, &EncodingOptions::default()).unwrap().names();
    assert!(
        plain.contains(&"genres=Drama|War".to_string())
            && plain.contains(&"genres is blank".to_string()),
        "{plain:?}"
    );
    let saved = serde_json::to_string(&encoding).unwrap();
    assert_eq!(serde_json::from_str::<Encoding>(&saved).unwrap(), encoding);
}
