//! Small valid files of each format.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use gradus::losses::{CrossEntropy, Mse};
use gradus::optimizers::{Adam, Muon, Sgd};
use gradus::recommend::{Features, Interactions, Recommender};
use gradus::{Average, Dense, Device, Fit, Model, Sequential, activations::Relu, data};
use ndarray::array;
use serde_json::Value;

/// Largest golden case used, in bytes: mutants of larger ones take longer and reach no further.
const LARGEST_CASE: usize = 3000;

fn with_compressed(mut files: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&files[0]).expect("memory can be written");
    files.push(encoder.finish().expect("memory can be written"));
    files
}

fn texts(files: &[&str]) -> Vec<Vec<u8>> {
    with_compressed(files.iter().map(|text| text.as_bytes().to_vec()).collect())
}

/// A file of tests/numpy.
pub fn numpy(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/numpy").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn idx() -> Vec<Vec<u8>> {
    let images = [&[0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2][..], &[9; 12]].concat();
    let labels = vec![0, 0, 8, 1, 0, 0, 0, 3, 0, 2, 1];
    let doubles =
        [&[0, 0, 0x0e, 2, 0, 0, 0, 1, 0, 0, 0, 2][..], &2.5_f64.to_be_bytes(), &[0; 8]].concat();
    let words = [&[0, 0, 0x0c, 1, 0, 0, 0, 2][..], &7_i32.to_be_bytes(), &[0xff; 4]].concat();
    with_compressed(vec![images, labels, doubles, words])
}

pub fn csv() -> Vec<Vec<u8>> {
    texts(&[
        "size,rooms,kind\n30,1,flat\n90,3,house\n50,2,flat\n120,5,house\n",
        "price;a;b\r\n1.5;2;3\r\n-4e3;5;6\r\n",
        "1\t2\t3\n4\t5\t6\n7\t8\t9\n",
        "\u{feff}\"a, b\",\"say \"\"so\"\"\",kind\n1,2,\"x\ny\"\n3,4,z\n",
        "0,0,1\n0.5,1e-3,0\n",
    ])
}

pub fn svmlight() -> Vec<Vec<u8>> {
    texts(&[
        "1 qid:1 1:0.5 3:1.25 # a comment\n0 qid:1 2:3\n2 qid:2 1:1\n",
        "-1 1:0.5 7:1\n+1 2:0.25\n",
        "0.5 0:1 1:2\n1.5 1:3\n",
        "3 qid:10\n1 qid:10 20:1e-3\n",
    ])
}

pub fn ratings() -> Vec<Vec<u8>> {
    texts(&[
        "userId,movieId,rating,timestamp\n1,10,5.0,0\n1,20,3.5,0\n2,10,4,0\n",
        "1::1193::5::978300760\n1::661::3::978302109\n2::1357::5::978298709\n",
        "7\t3\t4\n8\t3\t1\n",
        "\"user_id:token\";\"item_id:token\";\"rating:float\"\n\"4\";\"5\";\"2\"\n",
    ])
}

/// Bytes written by `save`, without the checksum, so that what is behind it meets damaged files too.
fn saved(save: impl Fn(&Path) -> gradus::Result<()>) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("saved");
    save(&path).expect("it is saved");
    let bytes = std::fs::read(&path).expect("it is there");
    let (length, rest) = bytes.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize;
    let header = std::str::from_utf8(&rest[..length]).expect("JSON");
    let field = r#",\"checksum\":\""#;
    let start = header.find(field).expect("a checksum");
    let end = start + field.len() + 16 + r#"\""#.len();
    let header = [&header[..start], &header[end..]].concat();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &rest[length..]].concat()
}

pub fn models() -> Vec<Vec<u8>> {
    let saved = |model: Model| saved(|path| model.save(path));
    let (x, y) = (array![[0.0_f32, 1.0], [1.0, 0.5], [0.5, 0.5]], array![[1.0_f32], [0.0], [0.5]]);
    let labels = array![0_i64, 2, 1];
    let cpu = Device::cpu();
    let make = || -> gradus::Result<Vec<Model>> {
        let plain = Sequential::new(2).then(Dense::new(1)).on(&cpu)?;
        let mut hidden =
            Sequential::new(2).l2(1e-3).then(Dense::new(3).activation(Relu)).then(Dense::new(1));
        hidden = hidden.proximal_l1(1e-4);
        let mut hidden = hidden.on(&cpu)?.compile(Mse::new(), Adam::new())?;
        hidden.set_input_scaling(vec![0.5, 0.5], vec![1.0, 2.0])?;
        hidden.set_names(vec!["a".into(), "b".into()], Vec::new(), Some("price".into()));
        let average = Average::new(0.9);
        hidden.fit(&x, &y, Fit::new().epochs(2).batch_size(2).average(average).progress(false))?;
        let mut classes = Sequential::new(2).then(Dense::new(3)).on(&Device::reference())?;
        classes = classes.compile(CrossEntropy::new(), Muon::new())?;
        classes.fit(&x, &labels, Fit::new().epochs(1).progress(false))?;
        let ids = Sequential::of_ids(2, [5, 3])
            .then(Dense::new(1))
            .on(&cpu)?
            .compile(Mse::new(), Sgd::new())?;
        Ok(vec![plain, hidden, classes, ids])
    };
    make().expect("small models").into_iter().map(saved).collect()
}

pub fn recommenders() -> Vec<Vec<u8>> {
    let pairs = [(0, 1), (0, 2), (1, 0), (2, 2), (2, 3)];
    let make = || -> gradus::Result<Vec<gradus::recommend::Model>> {
        let mut plain = Recommender::new(3, 4).components(2).on(&Device::cpu())?;
        plain.fit(&Interactions::new(3, 4, &pairs)?, 1)?;
        let features = Features::new(4, 3, &[(0, 1, 1.0), (1, 2, 0.5), (2, 0, 1.0), (3, 0, 2.0)])?;
        let hybrid =
            Recommender::new(3, 4).components(2).item_features(features).on(&Device::reference())?;
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let path = folder.path().join("ratings.csv");
        std::fs::write(&path, &ratings()[0]).expect("it can be written");
        let named = Interactions::from_ratings(&data::read_ratings(&path)?, 3.0, false)?;
        let mut with_ids =
            Recommender::new(named.users(), named.items()).components(1).on(&Device::cpu())?;
        with_ids.fit(&named, 1)?;
        Ok(vec![plain, hybrid, with_ids])
    };
    make()
        .expect("small recommenders")
        .into_iter()
        .map(|model| saved(|path| model.save(path)))
        .collect()
}

/// The small cases of the golden files, including each loss, optimizer and schedule.
pub fn cases() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the golden files").flatten().map(|f| f.path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in
        files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json"))
    {
        let text = std::fs::read(file).expect("it can be read");
        let read: Vec<Value> = serde_json::from_slice(&text).expect("a list of cases");
        let small = read.into_iter().map(|mut case| {
            case.as_object_mut().map(|case| case.remove("expect"));
            case.to_string().into_bytes()
        });
        cases.extend(small.filter(|case| case.len() <= LARGEST_CASE));
    }
    cases
}
