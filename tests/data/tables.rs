//! Reading data: real files, NumPy output, small tables, and the methods of a data set.
#![cfg(feature = "data")]

use std::io::Write;
use std::path::{Path, PathBuf};

use gradus::data::{
    self, Dataset, Header, ReadOptions, Standardization, Table, TableOptions, Target,
};
use ndarray::{Array2, array};

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Writes one file to its own temporary folder.
fn file(name: &str, bytes: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn table(text: &str, target: Option<&str>) -> Dataset {
    let (_folder, path) = file("table.csv", text);
    data::read_csv(path, target).unwrap()
}

/// The message without the folder before the file name.
fn refusal(text: &str, target: Option<&str>) -> String {
    let (folder, path) = file("table.csv", text);
    let message = data::read_csv(path, target).unwrap_err().to_string();
    assert!(!message.contains('\n'), "{message}");
    message.replace(&format!("{}/", folder.path().display()), "")
}

fn message<T: std::fmt::Debug>(outcome: gradus::Result<T>) -> String {
    outcome.unwrap_err().to_string()
}

/// The sum of all bytes was computed with Python's gzip.
#[test]
fn fashion_mnist_is_read_whole() {
    let split = data::read(project("data/fashion-mnist-12k"), &ReadOptions::default()).unwrap();
    let test = split.test.unwrap();
    assert_eq!((split.train.features.dim(), test.features.dim()), ((10_000, 784), (2_000, 784)));
    let sum: f64 =
        split.train.features.iter().map(|&pixel| (f64::from(pixel) * 255.0).round()).sum();
    assert_eq!(sum, 571_839_992.0);
    assert!(split.train.features.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
    assert_eq!(split.train.classes().unwrap(), ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert_eq!(
        split.train.take(12).labels().unwrap().to_vec(),
        [5, 5, 6, 8, 7, 7, 4, 4, 6, 3, 7, 9]
    );
    assert_eq!(
        split.train.one_hot().unwrap().sum_axis(ndarray::Axis(0)),
        ndarray::Array1::from_elem(10, 1000.0)
    );
}

#[test]
fn digits_are_read_without_a_header() {
    let options = ReadOptions::default().target("64");
    let digits = data::read(project("data/digits/digits.csv.gz"), &options).unwrap().train;
    assert_eq!(digits.features.dim(), (1797, 64));
    assert_eq!(digits.features.iter().map(|&count| f64::from(count)).sum::<f64>(), 561_718.0);
    assert_eq!(digits.take(4).labels().unwrap(), array![0, 1, 2, 3]);
    assert_eq!(digits.classes().unwrap().len(), 10);
    assert_eq!(digits.feature_names[63], "63");
}

/// Written by NumPy 2.4: x is [[0, 0.25], [0.5, 0.75], [1, 1.25]].
#[test]
fn arrays_of_numpy_are_read() {
    let x = array![[0.0, 0.25], [0.5, 0.75], [1.0, 1.25]];
    let options = ReadOptions::default();
    let beside = data::read(project("tests/numpy/x.npy"), &options).unwrap().train;
    assert_eq!((&beside.features, beside.labels().unwrap()), (&x, array![2, 0, 1]));
    let named = options.clone().targets(project("tests/numpy/column_f8.npy"));
    let named = data::read(project("tests/numpy/big_endian_f64.npy"), &named).unwrap().train;
    assert_eq!((&named.features, named.values().unwrap()), (&x, array![[0.5], [-1.5], [2.0]]));
    let fortran = data::read_npy(project("tests/numpy/fortran_i16.npy"), None).unwrap();
    assert_eq!((fortran.features, fortran.target), (x.clone() * 4.0, Target::None));
    let cube = data::read_npy(project("tests/numpy/cube_u8.npy"), None).unwrap();
    assert_eq!(cube.features.row(1), array![4.0, 5.0, 6.0, 7.0]);
    let stored = data::read(project("tests/numpy/stored.npz"), &options).unwrap();
    assert_eq!((stored.train, stored.test), (beside, None));
    let deflated = data::read(project("tests/numpy/deflated.npz"), &options).unwrap();
    assert_eq!(
        (deflated.train.features, deflated.train.target),
        (cube.features, labels(&[1, 0, 1], &["0", "1"]))
    );
    assert_eq!(deflated.test.unwrap().features, array![[1.0, 1.0, 1.0, 1.0]]);
    let structured = message(data::read_npy(project("tests/numpy/structured.npy"), None));
    assert!(
        structured
            .contains("structured.npy: at byte 20: \"[('a', '<f4'), (\"; expected a plain type"),
        "{structured}"
    );
}

fn labels(labels: &[i64], classes: &[&str]) -> Target {
    Target::Labels {
        labels: labels.to_vec().into(),
        classes: classes.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_table_has_features_targets_and_names() {
    let houses = table("rooms,price,age\n3, 1.5 ,20\n4,2.5e0,\"30\"\n", Some("price"));
    assert_eq!(houses.features, array![[3.0, 20.0], [4.0, 30.0]]);
    assert_eq!(houses.target, Target::Values(array![[1.5], [2.5]]));
    assert_eq!(houses.feature_names, ["rooms", "age"]);
    let iris = table("\u{feff}kind;a\r\nsetosa;1\r\n\r\nlily;2\r\nsetosa;3", Some("kind"));
    assert_eq!(iris.target, labels(&[1, 0, 1], &["lily", "setosa"]));
    assert_eq!(
        (iris.features, iris.feature_names),
        (array![[1.0], [2.0], [3.0]], vec!["a".to_string()])
    );
    assert_eq!(table("1\t2\n3\t4\n", None).features, array![[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(table("\"a,b;c;d\",e\n1,2\n", None).feature_names, ["a,b;c;d", "e"]);
}

#[test]
fn a_wrong_cell_is_named_by_line_and_column() {
    let feature = "expected a number; the column is a feature: encode text, fill or drop rows";
    assert_eq!(
        refusal("a,b\n1,2\n\n3,x y\n", None),
        format!("table.csv: at line 4, column `b`: `x y`; {feature}")
    );
    assert_eq!(
        refusal("a,b\r\n1,2\r\n\r\n,4\r\n", None),
        format!("table.csv: at line 4, column `a`: a blank cell; {feature}")
    );
    assert_eq!(
        refusal("1,2\r3,NaN\r", None),
        format!("table.csv: at line 2, column `1`: a blank cell; {feature}")
    );
    assert_eq!(
        refusal("1,2\n1e39,3\n", None),
        format!("table.csv: at line 2, column `0`: `1e39`; {feature}")
    );
    assert_eq!(
        refusal("a,\"b\nb\"\n1,2\n3,?\n", None),
        format!("table.csv: at line 4, column `b b`: `?`; {feature}")
    );
    // The kind of the target depends on the whole file, not on its first row.
    assert_eq!(table("a,b\n1,2\n3,x\n", Some("b")).target, labels(&[0, 1], &["2", "x"]));
    assert_eq!(
        refusal("a,b\n1,u\n3,\n", Some("b")),
        "table.csv: at line 3, column `b`: a blank cell; expected a target; drop such rows"
    );
}

#[test]
fn a_table_of_another_form_is_refused() {
    assert_eq!(
        refusal("a,b\n1,2\n3\n", None),
        "table.csv: at line 3: 1 fields; expected 2, as in the first row"
    );
    assert_eq!(refusal("a,b\n1,2\n", Some("c")), "unknown column of table.csv `c`; known: a, b");
    assert_eq!(table("5.1,3.5,setosa\n4.9,3,setosa\n", Some("2")).rows(), 2);
    let no_header =
        "known: 0, 1 (the file has no header; --header yes takes its first row for one)";
    assert_eq!(
        refusal("1,2\n", Some("2")),
        format!("unknown column of table.csv `2`; {no_header}")
    );
    let rows = "expected a header and at least one row, or rows of numbers";
    assert_eq!(refusal("", None), format!("table.csv: at line 1: the end of the file; {rows}"));
    assert_eq!(
        refusal("a,b\n", None),
        format!("table.csv: at line 2: the end of the file; {rows}")
    );
    let twice =
        "table.csv: at the header: two columns `a`; expected a name of its own for each column";
    assert_eq!(refusal("a,a\n1,2\n", Some("a")), twice);
    let alone = "table.csv: at the header: no column but the target; expected at least one column of features";
    assert_eq!(refusal("a\n1\n", Some("a")), alone);
}

#[test]
fn what_cannot_be_read_names_what_can() {
    let (folder, path) = file("model.safetensors", "x");
    let options = ReadOptions::default();
    assert!(message(data::read(path, &options)).ends_with(
        "known: a folder of IDX files with MNIST's names, .csv, .tsv, .tab, .txt, .data, .svm (each also .gz), .npy, .npz"
    ));
    assert!(
        message(data::read(folder.path(), &options)).contains("holds no `train-images-idx3-ubyte`")
    );
    assert!(
        message(data::read("/nonexistent/x.npy", &options)).starts_with("/nonexistent/x.npy: ")
    );
    let digits = project("data/digits/digits.csv.gz");
    let targets = message(data::read(digits, &options.clone().targets("y.npy")));
    assert!(targets.starts_with("data: targets is y.npy; it must be left out"), "{targets}");
    let target = message(data::read(project("data/fashion-mnist-12k"), &options.target("label")));
    assert!(target.starts_with("data: target is label; it must be left out"), "{target}");
    let rows = message(data::read_npy(project("tests/numpy/deflated.npz"), None));
    assert!(rows.contains("deflated.npz: at byte 0: bytes [50, 4b"), "{rows}");
}

#[test]
fn images_and_labels_must_agree() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write(
        "train-images.idx3-ubyte",
        &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255, 51, 0],
    );
    write("train-labels-idx1-ubyte", &[0, 0, 8, 1, 0, 0, 0, 2, 3, 1]);
    let split = data::read_idx_folder(folder.path()).unwrap();
    assert_eq!(split.train.features, array![[0.0, 1.0], [0.2, 0.0]]);
    assert_eq!(split.train.target, labels(&[3, 1], &["0", "1", "2", "3"]));
    assert_eq!(split.test, None);
    write("train-labels-idx1-ubyte", &[0, 0, 8, 1, 0, 0, 0, 1, 3]);
    let found = message(data::read_idx_folder(folder.path()));
    assert!(
        found.contains(
            "train-labels-idx1-ubyte: at byte 4: 1 labels; expected 2, one for each image in"
        ),
        "{found}"
    );
    write("train-labels-idx1-ubyte", &[0, 0, 0x0c, 1, 0, 0, 0, 2, 0x7f, 0, 0, 0, 0, 0, 0, 1]);
    assert!(
        message(data::read_idx_folder(folder.path()))
            .contains("at the labels: label 2130706432; expected a number from 0")
    );
    write("train-labels-idx1-ubyte", &[0, 0, 0x0d, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0x3f, 0, 0, 0]);
    assert!(
        message(data::read_idx_folder(folder.path()))
            .contains("at byte 12: label 0.5; expected a whole number")
    );
}

/// Two numbers in each of the six element types.
#[test]
fn idx_numbers_of_each_type_are_read() {
    let cases: [(u8, Vec<u8>, [f32; 2]); 6] = [
        (0x08, vec![255, 51], [1.0, 0.2]),
        (0x09, vec![255, 51], [-1.0, 51.0]),
        (0x0b, vec![255, 254, 1, 0], [-2.0, 256.0]),
        (0x0c, vec![255, 255, 255, 253, 0, 1, 0, 0], [-3.0, 65_536.0]),
        (0x0d, [1.5f32.to_be_bytes(), (-0.1f32).to_be_bytes()].concat(), [1.5, -0.1]),
        (0x0e, [1.5f64.to_be_bytes(), (-0.1f64).to_be_bytes()].concat(), [1.5, -0.1]),
    ];
    for (kind, bytes, expected) in cases {
        let (_folder, path) = file("numbers", [&[0, 0, kind, 1, 0, 0, 0, 2], &bytes[..]].concat());
        let idx = data::read_idx(path).unwrap();
        assert_eq!(idx.shape(), [2]);
        assert_eq!(idx.features().unwrap(), array![[expected[0]], [expected[1]]], "type {kind:#x}");
    }
    let (_folder, path) =
        file("numbers", [&[0, 0, 0x0e, 1, 0, 0, 0, 1][..], &1e300f64.to_be_bytes()].concat());
    let found = message(data::read_idx(path).unwrap().features());
    assert!(
        found.contains("at row 0, column 0: inf; expected a number that is finite in f32"),
        "{found}"
    );
}

#[test]
fn a_data_set_is_split_taken_and_shuffled_by_rows() {
    let features = Array2::from_shape_fn((10, 2), |(row, column)| (10 * row + column) as f32);
    let target = Target::Values(Array2::from_shape_fn((10, 1), |(row, _)| row as f32));
    let dataset = Dataset::new(features.clone(), target).unwrap();
    let (train, validation) = dataset.split(0.25).unwrap();
    assert_eq!((train.rows(), validation.rows()), (7, 3)); // 2.5 rounds up
    assert_eq!(validation.labels().unwrap(), array![7, 8, 9]);
    assert_eq!(dataset.take(99), dataset);
    let shuffled = dataset.shuffled(3).unwrap();
    assert_ne!(shuffled, dataset);
    for (row, label) in shuffled.labels().unwrap().into_iter().enumerate() {
        assert_eq!(shuffled.features.row(row), features.row(label as usize));
    }
    for fraction in [0.0, 1.0, -0.1, 0.01, f64::NAN] {
        assert!(message(dataset.split(fraction)).starts_with("split: fraction is"), "{fraction}");
    }
    assert_eq!(
        message(Dataset::new(features, labels(&[1], &["0", "1"]))),
        "data: features are [10, 2] but targets are [1]; there must be one target for each row"
    );
}

#[test]
fn targets_that_are_no_labels_are_named() {
    let dataset = |target| Dataset::new(Array2::zeros((2, 1)), target).unwrap();
    let half = dataset(Target::Values(array![[1.0], [2.5]]));
    assert_eq!(message(half.labels()), "data: targets hold 2.5 in row 1; labels are whole numbers");
    assert!(
        message(dataset(Target::Values(array![[1.0], [f32::INFINITY]])).labels())
            .contains("hold inf in row 1")
    );
    let sides = dataset(Target::Values(array![[1.0], [-1.0]]));
    assert_eq!(sides.labels().unwrap(), array![1, -1]);
    assert!(message(sides.one_hot()).contains("hold label -1; a class is a number from 0"));
    assert!(message(dataset(Target::None).values()).starts_with("data: targets are missing"));
    let eleventh = dataset(labels(&[0, 10], &["0", "1"]));
    assert!(
        message(eleventh.one_hot())
            .starts_with("one_hot: row 1 has label 10; labels must be 0 to 1 (2 classes)")
    );
    assert_eq!(eleventh.values().unwrap(), array![[0.0], [10.0]]);
}

#[test]
fn values_that_are_not_finite_are_counted() {
    let mut dataset =
        Dataset::new(Array2::zeros((4, 20)), Target::Values(Array2::zeros((4, 1)))).unwrap();
    dataset.check_finite().unwrap();
    dataset.features[[3, 17]] = f32::NAN;
    dataset.features[[3, 18]] = f32::INFINITY;
    let found = message(dataset.check_finite());
    assert!(
        found.starts_with("data: features holds NaN at row 3, column 17 (2 value(s)"),
        "{found}"
    );
    assert!(
        message(Standardization::fit(&dataset.features))
            .starts_with("standardization: features holds NaN")
    );
}

/// f32 keeps 24 bits: values of size 3 after standardising are off by 3·2⁻²⁴ = 1.8e-7 each, and so
/// is their mean at most.
#[test]
fn standardised_columns_have_mean_0_and_deviation_1() {
    let mut features = data::read_csv(project("data/digits/digits.csv.gz"), None).unwrap().features;
    features.column_mut(1).fill(0.1); // constant; its mean in f64 is not 0.1f32
    let standardization = Standardization::fit(&features).unwrap();
    assert_eq!((standardization.scale[0], standardization.scale[1]), (1.0, 1.0));
    standardization.apply(&mut features).unwrap();
    for (index, column) in features.columns().into_iter().enumerate() {
        let mean = column.iter().map(|&x| f64::from(x)).sum::<f64>() / 1797.0;
        let square = column.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / 1797.0;
        let constant = index == 1 || column.iter().all(|x| *x == column[0]);
        assert!(mean.abs() <= 1.8e-7, "column {index}: mean {mean}");
        assert!(
            (square - if constant { 0.0 } else { 1.0 }).abs() <= 1e-6,
            "column {index}: {square}"
        );
    }
    let text = serde_json::to_string(&standardization).unwrap();
    assert_eq!(serde_json::from_str::<Standardization>(&text).unwrap(), standardization);
    assert!(
        message(standardization.apply(&mut Array2::zeros((1, 2))))
            .contains("learned on 65 columns")
    );
}

#[test]
fn headers_in_latin_1_keep_their_letters() {
    for text in [
        &b"gr\xf6\xdfe,y\n1,2\n2,4\n"[..],
        b"# gr\xf6\xdfe,y\n1,2\n2,4\n",
        "größe,y\n1,2\n2,4\n".as_bytes(),
    ] {
        let (_folder, path) = file("table.csv", text);
        assert_eq!(data::read_csv(path, Some("y")).unwrap().feature_names, ["größe"]);
    }
}

#[test]
fn a_file_in_the_form_of_one_without_names_has_a_header_of_indices_or_none() {
    let rows = |text: &str| {
        let (_folder, path) = file("table.csv", text);
        let options = TableOptions { header: Header::Indices, ..TableOptions::default() };
        let table = Table::read(path, &options).unwrap();
        (table.rows(), table.has_header())
    };
    assert_eq!(rows("0,x\n5,y\n"), (2, false));
    assert_eq!(rows("a,b\n"), (1, false));
    assert_eq!(rows("0,1\n0.5,x\n"), (1, true));
}

/// An archive of one-column arrays.
fn archive(arrays: &[(&str, &[f32])]) -> (tempfile::TempDir, PathBuf) {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, numbers) in arrays {
        let shape = format!("({}, 1)", numbers.len());
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(
            &[b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()]
                .concat(),
        )
        .unwrap();
        numbers.iter().for_each(|number| zip.write_all(&number.to_le_bytes()).unwrap());
    }
    file("arrays.npz", zip.finish().unwrap().into_inner())
}

#[test]
fn the_targets_of_an_archive_are_those_that_are_there() {
    for name in ["labels", "target"] {
        let (_folder, path) = archive(&[("data", &[1.0, 2.0]), (name, &[3.0, 4.0])]);
        assert_eq!(
            data::read_npz(path).unwrap().train.values().unwrap(),
            array![[3.0], [4.0]],
            "{name}"
        );
    }
    let (_folder, path) = archive(&[("data", &[1.0, 2.0])]);
    assert_eq!(data::read_npz(path).unwrap().train.target, Target::None);
}

#[test]
fn arrays_of_numbers_for_names_are_taken_where_there_are_two_of_them() {
    let (_folder, path) = archive(&[("arr_0", &[1.0, 2.0]), ("arr_1", &[3.0, 4.0])]);
    assert_eq!(data::read_npz(path).unwrap().train.values().unwrap(), array![[3.0], [4.0]]);
    let four =
        [("arr_0", &[1.0, 2.0][..]), ("arr_1", &[3.0, 4.0]), ("arr_2", &[5.0]), ("arr_3", &[6.0])];
    for arrays in [&four[..3], &four[..]] {
        let (_folder, path) = archive(arrays);
        let report = message(data::read_npz(path));
        let count = format!("holds {} arrays without names", arrays.len());
        assert!(
            report.contains(&count) && report.contains("numpy.savez(file, x_train="),
            "{report}"
        );
    }
}

#[test]
fn texts_of_several_lines_do_not_hide_what_parts_the_fields() {
    for mark in [';', '\t', '|', ','] {
        // Most lines are in quotes, where commas, semicolons and bars are not separators.
        let row = |place: usize| {
            format!(
                "{place}{mark}\"one, two; three|four\nfive, six; seven\n\n\"\"eight\"\", nine\n\"{mark}{}\n",
                place % 2
            )
        };
        let text = format!("id{mark}text{mark}y\n{}", (0..300).map(row).collect::<String>());
        let (_folder, path) = file("reviews.csv", text);
        let table = Table::read(&path, &TableOptions::default()).unwrap();
        assert_eq!(
            (table.names().collect::<Vec<_>>(), table.rows()),
            (vec!["id", "text", "y"], 300),
            "{mark:?}"
        );
        let shown = table.column("text").unwrap().text(7).unwrap().into_owned();
        assert!(
            shown.starts_with("one, two; three|four") && shown.contains("\"eight\", nine"),
            "{shown}"
        );
        assert_eq!(data::table_head(&path, &TableOptions::default()).unwrap().columns().len(), 3);
    }
}

#[test]
fn a_header_of_more_than_a_mebibyte_is_read_whole() {
    const COLUMNS: usize = 60_000;
    let names: Vec<String> =
        (0..COLUMNS).map(|place| format!("a_long_name_of_a_column_{place}")).collect();
    let row = |value: usize| vec![value.to_string(); COLUMNS].join(";");
    let text = format!("{}\n{}\n{}\n", names.join(";"), row(1), row(2));
    assert!(text.find('\n').unwrap() > 1 << 20);
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [
        text.clone().into_bytes(),
        text.replace('\n', "\r\n").into_bytes(),
        [&[0xff, 0xfe], &utf16[..]].concat(),
    ] {
        let (_folder, path) = file("wide.csv", bytes);
        let table = Table::read(&path, &TableOptions::default()).unwrap();
        assert_eq!((table.columns().len(), table.rows(), table.has_header()), (COLUMNS, 2, true));
        assert_eq!(table.columns()[COLUMNS - 1].name(), names[COLUMNS - 1]);
        assert_eq!(table.columns()[COLUMNS - 1].number(1), Some(2.0));
    }
    // A quote that means inches does not turn most of a long file into its header.
    let (_folder, path) = file("disks.csv", format!("5\" disk;y\n{}", "1;2\n".repeat(600_000)));
    assert_eq!(Table::read(&path, &TableOptions::default()).unwrap().rows(), 600_000);
}

#[test]
fn utf16_that_breaks_off_within_a_letter_is_reported_with_its_byte() {
    let text: Vec<u8> = "a;b\n1;2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bytes = [&[0xff, 0xfe], &text[..text.len() - 1]].concat();
    let (_folder, path) = file("cut.csv", &bytes);
    let report = message(Table::read(&path, &TableOptions::default()));
    assert!(
        report.contains("byte 16") && report.contains("UTF-16") && report.contains("cut off"),
        "{report}"
    );
}
