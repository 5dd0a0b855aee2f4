//! Files of ratings: how they are read, what is refused with its line.
#![cfg(feature = "cli")]

use std::path::PathBuf;

use gradus::data::{Duplicates, RatingsOptions, read_ratings, read_ratings_with, read_titles};
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
            (&[0, 1][..], &[1, 0][..], &[2.5, 4.0][..])
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
    assert_eq!(liked.user_ids().unwrap().raw(), ["2", "9", "4294967295"]);
    assert_eq!(liked.item_ids().unwrap().raw(), ["300", "400"]);
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
    ("", &["line 1", "no column of users"]),
    ("\n\n", &["no column of users"]),
    ("userId,movieId,rating\n", &["line 2", "the end of the file", "at least one rating"]),
    ("userId,rating\n1,2\n", &["line 1", "no column of items among userId, rating", "itemid"]),
    ("movieId,rating\n1,2\n", &["line 1", "no column of users"]),
    ("userId,movieId,rating\n1,2,3\n2,,4\n", &["line 3", "column `movieId`", "an empty field"]),
    ("userId,movieId,rating\n,2,4\n", &["line 2", "column `userId`", "an empty field"]),
    ("userId,movieId,rating\n1,2,NaN\n", &["line 2", "column `rating`", "NaN", "finite"]),
    ("userId,movieId,rating\n1,2,inf\n", &["line 2", "column `rating`", "inf"]),
    ("userId,movieId,rating\n1,2,\n", &["line 2", "column `rating`", "an empty field"]),
    ("userId,movieId,rating\n1,2\n", &["line 2", "2 fields", "3, as in the first row"]),
    // A decimal comma.
    ("userId,movieId,rating\n1,2,4,5\n", &["line 2", "4 fields", "3, as in the first row"]),
    ("userId,movieId,rating\n1,2,3\n1,3,3\n\n1,2,5\n1,3,1\n", &["line 5", "user 1 and item 2 again, as in line 2"]),
    ("1::2::3\n1::2\n", &["line 2", "2 fields"]),
    ("1::2::NaN::7\n", &["line 1", "column `2`", "NaN"]),
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
    assert!(read_ratings(folder.path().join("none.csv")).unwrap_err().to_string().contains("none.csv"));
}

#[test]
fn ids_are_text_in_the_order_of_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let text = "user,item,rating\n10,B2,3\n9,A1,4\n12345678901234567890,5863.0,5\nannie,5863,1\n";
    let found = read_ratings(file(&folder, text)).unwrap();
    assert_eq!(found.user_ids, ["9", "10", "12345678901234567890", "annie"]);
    assert_eq!(
        (&found.item_ids[..], &found.items[..]),
        (&["5863", "A1", "B2"].map(String::from)[..], &[2, 1, 0, 0][..])
    );
    let all = Interactions::from_ratings(&found, 3.0, false).unwrap();
    assert_eq!(all.user_ids().unwrap().row("12345678901234567890").unwrap(), 2);
    let message = all.item_ids().unwrap().row("A3").unwrap_err().to_string();
    assert!(message.contains("unknown item `A3`") && message.contains("near it: A1 and B2"), "{message}");
}

#[test]
fn columns_are_named_or_recognized_and_lines_without_ratings_are_likes() {
    let folder = tempfile::tempdir().unwrap();
    let shop = "reviewerID,asin,overall,reviewText\nu1,B1,5,\"good, very\"\nu2,B1,1,bad\n";
    let found = read_ratings(file(&folder, shop)).unwrap();
    assert_eq!((found.ratings, found.has_ratings), (vec![5.0, 1.0], true));
    let named = RatingsOptions {
        user: Some("who".into()),
        item: Some("what".into()),
        rating: Some("how".into()),
        ..Default::default()
    };
    let found = read_ratings_with(file(&folder, "how,what,who\n5,1,2\n"), &named).unwrap();
    assert_eq!((&found.user_ids[0], &found.item_ids[0], found.ratings[0]), (&"2".to_string(), &"1".to_string(), 5.0));
    let missing = RatingsOptions { item: Some("film".into()), ..Default::default() };
    let message = read_ratings_with(file(&folder, "user,item\n1,2\n"), &missing).unwrap_err().to_string();
    assert!(message.contains("unknown column of") && message.contains("known: user, item"), "{message}");
    let likes = read_ratings(file(&folder, "user_id,item_id\n1,2\n1,3\n")).unwrap();
    assert!(
        !likes.has_ratings && likes.notes.iter().any(|note| note.contains("each line is a like")),
        "{:?}",
        likes.notes
    );
    assert_eq!(Interactions::from_ratings(&likes, 4.0, false).unwrap().len(), 2);
}

#[test]
fn pairs_again_are_kept_last_or_added_up() {
    let folder = tempfile::tempdir().unwrap();
    let with = |duplicates| {
        let options = RatingsOptions { duplicates, ..Default::default() };
        read_ratings_with(file(&folder, "user,item,rating\n1,2,3\n1,3,4\n1,2,5\n"), &options).map(|found| found.ratings)
    };
    assert_eq!(with(Duplicates::Last).unwrap(), [5.0, 4.0]);
    assert_eq!(with(Duplicates::Sum).unwrap(), [8.0, 4.0]);
    assert!(
        with(Duplicates::Refuse).unwrap_err().to_string().contains("line 4: user 1 and item 2 again, as in line 2")
    );
}

#[test]
fn titles_are_read_by_id() {
    let folder = tempfile::tempdir().unwrap();
    for (text, title) in [
        ("movieId,title,genres\n1,\"Ring, The\",Horror\n", "Ring, The"),
        ("1::Toy Story (1995)::Animation|Children\n", "Toy Story (1995)"),
        ("1|Toy Story (1995)|01-Jan-1995||http\n2|Up (2009)|01-Jan-2009||http\n", "Toy Story (1995)"),
    ] {
        assert_eq!(read_titles(file(&folder, text)).unwrap()["1"], title);
    }
    // MovieLens 1M is in Latin-1.
    assert_eq!(read_titles(file(&folder, b"1::Am\xe9lie (2001)::Comedy\n")).unwrap()["1"], "Amélie (2001)");
    let message = read_titles(file(&folder, "id,genres\n1,Horror\n2,Horror\n")).unwrap_err().to_string();
    assert!(message.contains("no column of titles among id, genres"), "{message}");
}
