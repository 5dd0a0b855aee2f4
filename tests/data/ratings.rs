//! Rating files: parsing, and rejection with the offending line.
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
fn ratings_are_read_with_any_known_separator() {
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
    let path = file(
        &folder,
        "user,item,rating\n9,400,5\n2,300,4\n2,400,1\n5,77,3.5\n4294967295,300,4.5\n",
    );
    let ratings = read_ratings(path).unwrap();
    let liked = Interactions::from_ratings(&ratings, 4.0, false).unwrap();
    assert_eq!(liked.user_ids().unwrap().raw(), ["2", "9", "4294967295"]);
    assert_eq!(liked.item_ids().unwrap().raw(), ["300", "400"]);
    assert_eq!((liked.of(0), liked.of(1), liked.of(2)), (&[0][..], &[1][..], &[0][..]));
    assert_eq!(liked.user_ids().unwrap().row(9).unwrap(), 1);
    let message = liked.item_ids().unwrap().row(77).unwrap_err().to_string();
    assert!(
        message.contains("unknown item `77`") && message.contains("2 ids, from 300 to 400"),
        "{message}"
    );
    let all = Interactions::from_ratings(&ratings, 4.0, true).unwrap();
    assert_eq!((all.users(), all.items(), all.len()), (4, 3, 5));
    assert_eq!(all.weights_of(0), [1.0, -1.0]);
    let message = Interactions::from_ratings(&ratings, 6.0, false).unwrap_err().to_string();
    assert!(message.contains("min_rating is 6") && message.contains("at most 5"), "{message}");
}

/// Rejected contents, and words of the message.
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
    (
        "userId,movieId,rating\n1,2,3\n1,3,3\n\n1,2,5\n1,3,1\n",
        &["line 5", "user 1 and item 2 again, as in line 2"],
    ),
    ("1::2::3\n1::2\n", &["line 2", "2 fields"]),
    ("1::2::NaN::7\n", &["line 1", "column `2`", "NaN"]),
];

#[test]
fn invalid_ratings_are_named_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    for (content, words) in REFUSED {
        let message = read_ratings(file(&folder, content)).unwrap_err().to_string();
        for word in *words {
            assert!(message.contains(word), "`{word}` is not in: {message}");
        }
    }
    assert!(
        read_ratings(folder.path().join("none.csv")).unwrap_err().to_string().contains("none.csv")
    );
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
    assert!(
        message.contains("unknown item `A3`") && message.contains("3 ids, from 5863 to B2"),
        "{message}"
    );
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
    assert_eq!(
        (&found.user_ids[0], &found.item_ids[0], found.ratings[0]),
        (&"2".to_string(), &"1".to_string(), 5.0)
    );
    let missing = RatingsOptions { item: Some("film".into()), ..Default::default() };
    let message =
        read_ratings_with(file(&folder, "user,item\n1,2\n"), &missing).unwrap_err().to_string();
    assert!(
        message.contains("unknown column of") && message.contains("known: user, item"),
        "{message}"
    );
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
        read_ratings_with(file(&folder, "user,item,rating\n1,2,3\n1,3,4\n1,2,5\n"), &options)
            .map(|found| found.ratings)
    };
    assert_eq!(with(Duplicates::Last).unwrap(), [5.0, 4.0]);
    assert_eq!(with(Duplicates::Sum).unwrap(), [8.0, 4.0]);
    assert!(
        with(Duplicates::Refuse)
            .unwrap_err()
            .to_string()
            .contains("line 4: user 1 and item 2 again, as in line 2")
    );
}

#[test]
fn titles_are_read_by_id() {
    let folder = tempfile::tempdir().unwrap();
    for (text, title) in [
        ("movieId,title,genres\n1,\"Ring, The\",Horror\n", "Ring, The"),
        ("1::Toy Story (1995)::Animation|Children\n", "Toy Story (1995)"),
        (
            "1|Toy Story (1995)|01-Jan-1995||http\n2|Up (2009)|01-Jan-2009||http\n",
            "Toy Story (1995)",
        ),
    ] {
        assert_eq!(read_titles(file(&folder, text)).unwrap()["1"], title);
    }
    // MovieLens 1M is in Latin-1.
    assert_eq!(
        read_titles(file(&folder, b"1::Am\xe9lie (2001)::Comedy\n")).unwrap()["1"],
        "Amélie (2001)"
    );
    let message =
        read_titles(file(&folder, "id,genres\n1,Horror\n2,Horror\n")).unwrap_err().to_string();
    assert!(message.contains("no column of titles among id, genres"), "{message}");
}

#[test]
fn counts_are_weights_and_are_added_up() {
    let folder = tempfile::tempdir().unwrap();
    let plays = "user,artist,plays\nann,x,3\nann,y,0\nbob,x,1\nann,x,2.5\n";
    let found = read_ratings(file(&folder, plays)).unwrap();
    assert_eq!((found.has_ratings, &found.weights), (false, &Some(vec![5.5, 1.0])));
    assert_eq!((&found.item_ids[..], found.ratings), (&["x".to_string()][..], vec![5.5, 1.0]));
    for words in [
        "column `plays` holds counts",
        "1 line(s) with a count of 0",
        "1 line(s) hold a user and an item again: added up",
    ] {
        assert!(found.notes.iter().any(|note| note.contains(words)), "{words}: {:?}", found.notes);
    }
    let last = RatingsOptions { duplicates: Duplicates::Last, ..Default::default() };
    assert_eq!(
        read_ratings_with(file(&folder, plays), &last).unwrap().weights.unwrap(),
        [2.5, 1.0]
    );
    let refuse = RatingsOptions { duplicates: Duplicates::Refuse, ..Default::default() };
    assert!(
        read_ratings_with(file(&folder, plays), &refuse)
            .unwrap_err()
            .to_string()
            .contains("line 5")
    );
    let message = read_ratings(file(&folder, "user,artist,plays\nann,x,3\nann,y,-2\n"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("line 3, column `plays`") && message.contains("a count, 0 or more"),
        "{message}"
    );

    // Beside ratings a count column is only used if named; it weights liked items.
    let both = "user,item,rating,count\n1,1,5,4\n1,2,2,9\n2,1,4,1\n";
    assert_eq!(read_ratings(file(&folder, both)).unwrap().weights, None);
    let named = RatingsOptions { weight: Some("count".into()), ..Default::default() };
    let found = read_ratings_with(file(&folder, both), &named).unwrap();
    let liked = Interactions::from_ratings(&found, 4.0, true).unwrap();
    assert_eq!(liked.triples().collect::<Vec<_>>(), [(0, 0, 4.0), (0, 1, -9.0), (1, 0, 1.0)]);
    // In a file without names the third column is not a rating if it was named as something else.
    let third = RatingsOptions { weight: Some("2".into()), ..Default::default() };
    let found = read_ratings_with(file(&folder, "1,1,7\n1,2,3\n"), &third).unwrap();
    assert_eq!((found.has_ratings, found.weights), (false, Some(vec![7.0, 3.0])));
}

#[test]
fn times_are_read_and_are_no_ratings() {
    let folder = tempfile::tempdir().unwrap();
    let of = |text: &str| read_ratings(file(&folder, text)).unwrap();
    let found = of("userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n1,1029,3,1260759179\n");
    assert_eq!(found.times.unwrap(), [1260759144.0, 1260759179.0]);
    assert_eq!(
        of("1::2::5::978300760\n1::3::4::978302109\n").times.unwrap(),
        [978300760.0, 978302109.0]
    );
    let found = of("7 8 1260759144\n7 9 1260759179\n");
    assert_eq!(
        (found.has_ratings, found.times, found.ratings),
        (false, Some(vec![1260759144.0, 1260759179.0]), vec![1.0; 2])
    );
    assert!(
        found.notes.iter().any(|note| note.contains("column `2` holds Unix times")),
        "{:?}",
        found.notes
    );
    // Small ratings in the third column are not mistaken for times.
    let found = of("7 8 4\n7 9 5\n");
    assert_eq!((found.has_ratings, found.times), (true, None));
    let found = of("user,item,date\n1,2,2016-10-17\n1,3,soon\n");
    assert_eq!((found.has_ratings, found.times), (false, None));
    assert!(
        found
            .notes
            .iter()
            .any(|note| note.contains("`date` is not read as times: line 3 holds `soon`")),
        "{:?}",
        found.notes
    );
    let named = RatingsOptions { time: Some("when".into()), ..Default::default() };
    let message = read_ratings_with(file(&folder, "user,item,when\n1,2,3\n1,3,soon\n"), &named)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("line 3, column `when`")
            && message.contains("a time: a number, or a date"),
        "{message}"
    );
    // Numbers and dates do not mix.
    let message =
        read_ratings_with(file(&folder, "user,item,when\n1,2,2016-10-17\n1,3,5\n"), &named)
            .unwrap_err()
            .to_string();
    assert!(message.contains("line 3"), "{message}");
}

#[test]
fn the_last_one_is_the_last_by_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let last = RatingsOptions { duplicates: Duplicates::Last, ..Default::default() };
    let of = |text: &str| read_ratings_with(file(&folder, text), &last).unwrap();
    let found = of(
        "user,item,rating,date\n1,1,5,2020-03-01\n1,1,2,2020-01-01\n1,2,4,2020-01-01\n1,2,3,2020-01-01\n",
    );
    assert_eq!(
        (found.ratings, found.times.unwrap()),
        (vec![5.0, 3.0], vec![1583020800.0, 1577836800.0])
    );
    assert!(
        found.notes.iter().any(|note| note.contains("the last one by its time kept")),
        "{:?}",
        found.notes
    );
    assert_eq!(of("user,item,rating\n1,1,5\n1,1,2\n").ratings, [2.0]);
}

#[test]
fn titles_of_two_columns_without_a_header_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let found = read_titles(file(&folder, "1,Toy Story (1995)\n2,Jumanji (1995)\n")).unwrap();
    assert_eq!((&*found["1"], &*found["2"]), ("Toy Story (1995)", "Jumanji (1995)"));
    let error = read_titles(file(&folder, "1\n2\n")).unwrap_err().to_string();
    assert!(error.contains("no column of titles"), "{error}");
}
