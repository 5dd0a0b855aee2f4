//! SVMlight files: their meaning, index bases, the source of queries, and the line reported for
//! each kind of damage.

use std::path::PathBuf;

use gradus::data::{self, Dataset, ReadOptions, read_svmlight};
use ndarray::array;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn read(text: impl AsRef<[u8]>, options: &ReadOptions) -> gradus::Result<Dataset> {
    read_svmlight(Folder::new().file("rows.svm", text), options)
}

/// The message without the folder before the file name.
fn refusal(text: impl AsRef<[u8]>, options: &ReadOptions) -> String {
    let folder = Folder::new();
    let path = folder.file("rows.svm", text);
    let message = read_svmlight(&path, options).unwrap_err().to_string();
    assert!(!message.contains('\n'), "{message}");
    message.replace(path.to_str().unwrap(), "rows.svm")
}

#[test]
fn a_line_is_a_label_a_query_and_features_of_which_zeros_are_left_out() {
    let text = "# a comment\n2 qid:7 1:0.5 3:-1e-1 # the first\n\n0 qid:7 2:4\r\n1\tqid:1  3:.25\n  \n0.5 qid:3";
    let rows = read(text, &ReadOptions::default()).unwrap();
    assert_eq!(
        rows.features,
        array![[0.5, 0.0, -0.1], [0.0, 4.0, 0.0], [0.0, 0.0, 0.25], [0.0, 0.0, 0.0]]
    );
    assert_eq!(rows.values().unwrap(), array![[2.0], [0.0], [1.0], [0.5]]);
    assert_eq!(rows.groups, Some(vec![2, 1, 1]));
    assert_eq!(rows.feature_names, ["1", "2", "3"]);
}

#[test]
fn indices_count_from_0_if_one_is_0_or_if_it_is_said() {
    let plain = ReadOptions::default();
    assert_eq!(read("1 0:5 2:7", &plain).unwrap().features, array![[5.0, 0.0, 7.0]]);
    assert_eq!(read("1 1:5 2:7", &plain).unwrap().features, array![[5.0, 7.0]]);
    let said = read("1 1:5 2:7", &plain.clone().zero_based(true)).unwrap();
    assert_eq!(
        (said.features, said.feature_names),
        (array![[0.0, 5.0, 7.0]], ["0", "1", "2"].map(String::from).to_vec())
    );
    assert_eq!(
        read("1 1:5", &plain.clone().features(3)).unwrap().features,
        array![[5.0, 0.0, 0.0]]
    );
    let nothing = read("1\n0\n", &plain.features(2)).unwrap();
    assert_eq!(nothing.features.dim(), (2, 2));
}

#[test]
fn queries_come_from_a_file_beside_it_or_one_that_is_named() {
    let folder = Folder::new();
    let rows = folder.file("rank.train", "1 1:1\n0 1:2\n0 1:3\n2 1:4\n");
    assert_eq!(read_svmlight(&rows, &ReadOptions::default()).unwrap().groups, None);
    let named = folder.file("sizes", "# rows\n1\n\n3\n");
    let groups = |options: &ReadOptions| data::read(&rows, options).unwrap().train.groups;
    assert_eq!(groups(&ReadOptions::default().groups(&named)), Some(vec![1, 3]));
    folder.file("rank.train.query", "2\n2\n");
    assert_eq!(groups(&ReadOptions::default()), Some(vec![2, 2]));
    assert_eq!(groups(&ReadOptions::default().groups(&named)), Some(vec![1, 3]));
}

#[cfg(feature = "data")]
#[test]
fn gzip_is_known_by_its_bytes_for_rows_and_for_queries() {
    use std::io::Write;
    let gzip = |text: &str| {
        // Stored blocks: what DEFLATE allows, no compression needed.
        let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
        let length = text.len() as u16;
        bytes.write_all(&length.to_le_bytes()).unwrap();
        bytes.write_all(&(!length).to_le_bytes()).unwrap();
        bytes.write_all(text.as_bytes()).unwrap();
        let crc = text.bytes().fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
            })
        });
        bytes.write_all(&(!crc).to_le_bytes()).unwrap();
        bytes.write_all(&(text.len() as u32).to_le_bytes()).unwrap();
        bytes
    };
    let folder = Folder::new();
    let rows = folder.file("rank.svm.gz", gzip("1 1:1\n0 2:2\n"));
    folder.file("rank.svm.query", gzip("2\n"));
    let found = data::read(&rows, &ReadOptions::default()).unwrap().train;
    assert_eq!((found.features, found.groups), (array![[1.0, 0.0], [0.0, 2.0]], Some(vec![2])));
}

#[test]
fn a_file_of_another_name_is_known_by_its_first_line() {
    let folder = Folder::new();
    for (name, text, is) in [
        ("a.svm", "1 x", true),
        ("MSLR.txt", "2 qid:1 1:3 2:0 # doc\n", true),
        ("rank.train", "# header\n0 10:0.89 11:0.75\n", true),
        ("table.txt", "a b\n1 2\n", false),
        ("table.csv", "1 1:2\n", false),
        ("notes", "see 3:4 below\n", false),
    ] {
        assert_eq!(data::is_svmlight(folder.file(name, text)), is, "{name}");
    }
    assert!(!data::is_svmlight(folder.0.path()));
}

#[test]
fn damage_is_reported_by_its_line() {
    let plain = ReadOptions::default();
    let cases = [
        ("", "at line 1: the end of the file; expected at least one row"),
        ("# nothing\n\n", "the end of the file; expected at least one row"),
        (
            "1 1:2\nnan 1:2",
            "at line 2: `nan`; expected a label in front, a number that is finite in f32",
        ),
        ("1 1:2\n1:2", "at line 2: `1:2`; expected a label in front"),
        ("1e39 1:2", "at line 1: `1e39`"),
        ("1 1:2\n# x\n0 1:nan", "at line 3: `1:nan`; expected a value that is finite in f32"),
        ("1 1:inf", "at line 1: `1:inf`"),
        ("1 1:1e39", "at line 1: `1:1e39`"),
        ("1 1:", "at line 1: `1:`"),
        ("1 7", "at line 1: `7`; expected index:value"),
        ("1 -1:2", "at line 1: `-1:2`; expected index:value"),
        ("1 a:2", "at line 1: `a:2`; expected index:value"),
        ("1 2:1 1:1", "at line 1: index 1 after 2; expected indices that ascend, each once"),
        ("0 1:1\n1 2:1 2:1", "at line 2: index 2 after 2"),
        ("1 4294967296:1", "at line 1: index 4294967296; expected an index that fits 32 bits"),
        (
            "1 99999999999999999999999:1",
            "index 99999999999999999999999; expected an index that fits 32 bits",
        ),
        ("1 qid:1 1:1\n0 1:1", "at line 2: a row without qid:; expected a query in each row"),
        ("1 1:1\n0 qid:1 1:1", "at line 2: qid:1; expected no query"),
        ("1 qid:x 1:1", "at line 1: `qid:x`; expected a whole number"),
        ("1 qid:-1 1:1", "at line 1: `qid:-1`"),
        (
            "1 qid:1 1:1\n1 qid:2 1:1\n1 qid:1 1:1",
            "at line 3: query 1 again, whose rows ended before line 2",
        ),
        ("1 1:1 qid:1", "`qid:1`; expected index:value"),
        ("1\n0\n", "no feature in any row"),
        ("1 1:\u{fe}", "at line 1: `1:\u{fe}`"),
    ];
    for (text, words) in cases {
        let message = refusal(text, &plain);
        assert!(
            message.starts_with("rows.svm: at line ") && message.contains(words),
            "{text:?}: {message}"
        );
    }
    // 1 GiB of features is allowed on request; their names would take sixteen more.
    let names = refusal("1 268435456:1", &plain.clone().features(268_435_456));
    assert!(
        names.contains("[1, 268435456] (index 268435456 in line 1) takes 18253611008 bytes"),
        "{names}"
    );
    // 68 MB from 11 bytes are rejected unless that number of features was specified.
    let large = refusal("1 1000000:1", &plain);
    assert!(
        large.contains("takes 68000000 bytes") && large.contains("say how many there are"),
        "{large}"
    );
    assert_eq!(
        read("1 1000000:1", &plain.clone().features(1_000_000)).unwrap().features.ncols(),
        1_000_000
    );
    assert!(refusal(b"1 1:\xff", &plain).contains("at line 1: bytes that are no text"));
    let narrow = refusal("1 1:1\n1 3:1 5:1\n0 1:1", &plain.clone().features(4));
    assert!(
        narrow.contains("at line 2: index 5; expected indices up to 4, as there are 4 features"),
        "{narrow}"
    );
    let narrow = refusal("1 0:1\n1 4:1", &plain.clone().features(4));
    assert!(narrow.contains("at line 2: index 4; expected indices up to 3"), "{narrow}");
    let one = refusal("1 1:1\n1 0:1", &plain.clone().zero_based(false));
    assert!(one.contains("at line 2: index 0; expected an index from 1 on"), "{one}");
    // No memory is allocated for a claimed size.
    let wide = refusal("1 1:1\n0 4294967295:1", &plain);
    assert!(wide.contains("(index 4294967295 in line 2) takes 309237645240 bytes"), "{wide}");
}

#[test]
fn queries_that_are_not_the_rows_are_reported_by_the_line_of_their_file() {
    let folder = Folder::new();
    let rows = folder.file("rows.svm", "1 qid:1 1:1\n0 qid:1 1:2\n0 qid:4 1:3\n");
    let message = |text: &str| {
        folder.file("rows.svm.query", text);
        let message = read_svmlight(&rows, &ReadOptions::default()).unwrap_err().to_string();
        message.replace(&format!("{}/", folder.0.path().display()), "")
    };
    let few = message("1\n1\n");
    assert_eq!(
        few,
        "rows.svm.query: at line 2: 2 rows in 2 queries; expected 3 in all, as rows.svm has"
    );
    assert!(
        message("2\n2\n1")
            .contains("rows.svm.query: at line 2: 4 rows up to here; expected 3 in all")
    );
    assert!(
        message("2\n0\n1")
            .contains("rows.svm.query: at line 2: `0`; expected the number of rows of a query")
    );
    assert!(message("2\nx").contains("at line 2: `x`"));
    assert!(message("").contains("0 rows in 0 queries"));
    let other = message("1\n2\n");
    assert!(
        other.contains("query 1 (from 1): 1 rows; expected 2 rows, as qid: says in rows.svm"),
        "{other}"
    );
    assert!(message("2\n1\n1\n").contains("4 rows up to here"));
    std::fs::write(folder.0.path().join("rows.svm.query"), "2\n1\n").unwrap();
    assert_eq!(read_svmlight(&rows, &ReadOptions::default()).unwrap().groups, Some(vec![2, 1]));
    let missing = read_svmlight(&rows, &ReadOptions::default().groups("nowhere.query"))
        .unwrap_err()
        .to_string();
    assert!(missing.starts_with("nowhere.query: "), "{missing}");
}

#[test]
fn queries_stay_whole_when_rows_are_parted_and_shuffled() {
    let text = "0 qid:1 1:1\n0 qid:1 1:2\n0 qid:2 1:3\n0 qid:3 1:4\n0 qid:3 1:5\n0 qid:3 1:6\n0 qid:4 1:7\n";
    let rows = read(text, &ReadOptions::default()).unwrap();
    let (first, last) = rows.split(0.5).unwrap();
    assert_eq!((first.groups.clone(), last.groups.clone()), (Some(vec![2, 1]), Some(vec![3, 1])));
    assert_eq!((first.rows(), last.features[[0, 0]]), (3, 4.0));
    assert_eq!(rows.take(5).groups, Some(vec![2, 1]));
    assert_eq!(rows.take(6).groups, Some(vec![2, 1, 3]));
    let shuffled = rows.shuffled(3).unwrap();
    let groups = shuffled.groups.clone().unwrap();
    let mut start = 0;
    for &size in &groups {
        let first = shuffled.features[[start, 0]];
        let (known, _) = [(1.0, 2), (3.0, 1), (4.0, 3), (7.0, 1)]
            .into_iter()
            .find(|query| *query == (first, size))
            .unwrap();
        (0..size)
            .for_each(|item| assert_eq!(shuffled.features[[start + item, 0]], known + item as f32));
        start += size;
    }
    assert_ne!(shuffled.features, rows.features);
    let message = rows.clone().grouped(vec![3, 3]).unwrap_err().to_string();
    assert!(message.contains("features have 7 rows but 2 groups 6 in all"), "{message}");
    assert!(
        rows.clone()
            .split(0.1)
            .unwrap_err()
            .to_string()
            .contains("leave queries in both parts; there are 4")
    );
}

#[test]
fn what_another_format_has_no_use_for_is_refused() {
    let folder = Folder::new();
    let table = folder.file("t.csv", "a,b\n1,2\n");
    let message = |options: ReadOptions| data::read(&table, &options).unwrap_err().to_string();
    assert!(message(ReadOptions::default().groups("g")).contains("groups is g"));
    assert!(message(ReadOptions::default().features(3)).contains("features is 3"));
    assert!(message(ReadOptions::default().zero_based(true)).contains("zero_based is true"));
    let rows = folder.file("t.svm", "1 1:1\n");
    let message = data::read(&rows, &ReadOptions::default().target("a")).unwrap_err().to_string();
    assert!(message.contains("target is a"), "{message}");
}

/// LightGBM's ranking example, in the folder named by GRADUS_RANKING_DATA.
#[test]
fn lightgbms_example_is_read_whole() {
    let Some(folder) = std::env::var_os("GRADUS_RANKING_DATA").map(PathBuf::from) else {
        println!("IGNORED: GRADUS_RANKING_DATA names no folder");
        return;
    };
    let train = data::read(folder.join("rank.train"), &ReadOptions::default()).unwrap().train;
    let test =
        data::read(folder.join("rank.test"), &ReadOptions::default().features(300)).unwrap().train;
    assert_eq!((train.features.dim(), test.features.dim()), ((3005, 300), (768, 300)));
    let groups = [&train, &test].map(|rows| rows.groups.as_ref().map(Vec::len));
    assert_eq!(groups, [Some(201), Some(50)]);
    assert_eq!(train.values().unwrap().iter().filter(|&&y| y == 4.0).count(), 69);
}
