//! Files of ratings: how they are read, what is refused with its line.
#![cfg(feature = "cli")]

use std::path::PathBuf;

use gradus::data::read_ratings;
use gradus::recommend::Interactions;
use tempfile::TempDir;

fn file(folder: &TempDir, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join("ratings.csv");
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn all_three_forms_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let forms = [
        "userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n7,10,4.0,1260759179\n",
        "1::31::2.5::1260759144\n7::10::4::1260759179",
        "1\t31\t2.5\t1260759144\r\n\r\n7\t10\t4\t1260759179\r\n",
        "\u{feff}rating;item_id;\"User ID\"\n2.5;31;1\n4.0;10;7\n",
    ];
    for form in forms {
        let found = read_ratings(file(&folder, form)).unwrap();
        assert_eq!(
            (&found.users[..], &found.items[..], &found.ratings[..]),
            (&[1, 7][..], &[31, 10][..], &[2.5, 4.0][..])
        );
    }
    assert_eq!(read_ratings(file(&folder, forms[0])).unwrap().lines, [2, 3]);
    assert_eq!(read_ratings(file(&folder, forms[2])).unwrap().lines, [1, 3]);
}

#[test]
fn rows_are_numbered_by_ascending_id_and_low_ratings_drop_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "user,item,rating\n9,400,5\n2,300,4\n2,400,1\n5,77,3.5\n4294967295,300,4.5\n");
    let ratings = read_ratings(path).unwrap();
    let liked = Interactions::from_ratings(&ratings, 4.0, false).unwrap();
    assert_eq!(liked.user_ids().unwrap().raw(), [2, 9, u32::MAX]);
    assert_eq!(liked.item_ids().unwrap().raw(), [300, 400]);
    assert_eq!((liked.of(0), liked.of(1), liked.of(2)), (&[0][..], &[1][..], &[0][..]));
    assert_eq!(liked.user_ids().unwrap().row(9).unwrap(), 1);
    let message = liked.item_ids().unwrap().row(77).unwrap_err().to_string();
    assert!(message.contains("unknown item `77`") && message.contains("2 ids, from 300 to 400"), "{message}");
    let all = Interactions::from_ratings(&ratings, 4.0, true).unwrap();
    assert_eq!((all.users(), all.items(), all.len()), (4, 3, 5));
    assert_eq!(all.weights_of(0), [1.0, -1.0]);
    let message = Interactions::from_ratings(&ratings, 6.0, false).unwrap_err().to_string();
    assert!(message.contains("min_rating is 6") && message.contains("at most 5"), "{message}");
}

/// Contents that are refused, and words of the message.
const REFUSED: &[(&str, &[&str])] = &[
    ("", &["line 1", "no ratings"]),
    ("\n\n", &["no ratings"]),
    ("userId,movieId,rating\n", &["no ratings"]),
    ("userId,rating\n1,2\n", &["line 1", "no column of items among userId, rating", "itemid"]),
    ("movieId,rating\n1,2\n", &["line 1", "no column of users"]),
    ("userId,movieId\n1,2\n", &["line 1", "no column of ratings"]),
    ("userId,movieId,rating\n1,2,3\n1,4294967296,3\n", &["line 3", "column item", "4294967296", "32 bits"]),
    ("userId,movieId,rating\n-1,2,3\n", &["line 2", "column user", "-1"]),
    ("userId,movieId,rating\n1.5,2,3\n", &["line 2", "column user", "1.5"]),
    ("userId,movieId,rating\nannie,2,3\n", &["line 2", "column user", "annie"]),
    ("userId,movieId,rating\n1,2,3\n2,,4\n", &["line 3", "column item", "an empty field"]),
    ("userId,movieId,rating\n,2,4\n", &["line 2", "column user", "an empty field"]),
    ("userId,movieId,rating\n1,2,NaN\n", &["line 2", "column rating", "NaN", "finite"]),
    ("userId,movieId,rating\n1,2,inf\n", &["line 2", "column rating", "inf"]),
    ("userId,movieId,rating\n1,2,\n", &["line 2", "column rating", "an empty field"]),
    ("userId,movieId,rating\n1,2\n", &["line 2", "2 fields", "3, as in the first line"]),
    // A decimal comma.
    ("userId,movieId,rating\n1,2,4,5\n", &["line 2", "4 fields", "3, as in the first line"]),
    ("userId,movieId,rating\n1,2,3\n1,3,3\n\n1,2,5\n1,3,1\n", &["line 5", "user 1 and item 2 again, as in line 2"]),
    ("1::2::3\n1::x::3\n", &["line 2", "column item", "x"]),
    ("1::2::3\n1::2\n", &["line 2", "2 fields"]),
    ("1::2::NaN::7\n", &["line 1", "column rating", "NaN"]),
    ("1,2\n3,4\n", &["line 1", "2 fields"]),
];

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    for (content, words) in REFUSED {
        let message = read_ratings(file(&folder, content)).unwrap_err().to_string();
        for word in *words {
            assert!(message.contains(word), "`{word}` is not in: {message}");
        }
    }
    assert!(read_ratings(file(&folder, b"\xff\xfe\x00,\x00\n\x80,\x81,3\n")).is_err());
    assert!(read_ratings(folder.path().join("none.csv")).unwrap_err().to_string().contains("none.csv"));
}
