//! Side features of tables: queries for entities known only by them, also from a saved file.

use std::path::PathBuf;

use gradus::Device;
use gradus::data::{Entities, EntityKind, TableOptions, read_entities};
use gradus::recommend::{Features, Interactions, Model, Recommender, SideFeatures};
use tempfile::TempDir;

use crate::{says, support, tastes};

/// Names in the order of ids: a letter before numbers.
fn ids(letter: char, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{letter}{number:03}")).collect()
}

/// The interactions of three tastes, read from a file so that they have ids.
fn chosen(folder: &TempDir, users: usize, items: usize) -> Interactions {
    let (user_ids, item_ids) = (ids('u', users), ids('i', items));
    let line = |(user, item, _): (u32, u32, f32)| {
        format!("{},{}\n", user_ids[user as usize], item_ids[item as usize])
    };
    let lines: String = tastes(users, items, 4).triples().map(line).collect();
    let path = folder.path().join("likes.csv");
    std::fs::write(&path, "user,item\n".to_string() + &lines).unwrap();
    Interactions::from_ratings(&gradus::data::read_ratings(path).unwrap(), 4.0, false).unwrap()
}

fn table(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn entities(path: PathBuf, kind: EntityKind) -> Entities {
    read_entities(path, kind, None, &TableOptions::default()).unwrap()
}

/// Items with a genre per taste, including one each that nobody has chosen; users with a town per
/// taste, likewise.
fn trained(folder: &TempDir, device: &Device) -> Model {
    let chosen = chosen(folder, 90, 60);
    let genre = ["Drama|War", "Children|Comedy", "Crime"];
    let known = ids('i', 60)
        .into_iter()
        .enumerate()
        .map(|(item, id)| format!("{id},Film {item},{}\n", genre[item % 3]));
    let text = format!(
        "item,title,genres\nz9,New,Crime\n{}a1,Newer,Comedy|Children\na2,Newest,Western\n",
        known.collect::<String>()
    );
    let items = entities(table(folder, "items.csv", &text), EntityKind::Items);
    let town = ids('u', 90)
        .into_iter()
        .enumerate()
        .map(|(user, id)| format!("{id},{}\n", ["Ulm", "Bonn", "Kiel"][user % 3]));
    let text = format!("user,town\n{}u9999,Bonn\n", town.collect::<String>());
    let users = entities(table(folder, "users.csv", &text), EntityKind::Users);
    let items = SideFeatures::fit(&items, chosen.item_ids().unwrap()).unwrap();
    let names = items.encoding().unwrap().names();
    assert_eq!(
        names,
        ["genres=Children", "genres=Comedy", "genres=Crime", "genres=Drama", "genres=War"]
    );
    assert_eq!(items.new_ids(), ["a1", "a2", "z9"]);
    let (row, weights) = items.features().of(1);
    assert_eq!((row, weights), (&[0, 1, 6][..], &[0.5, 0.5, 1.0][..]), "two genres and itself");
    let users = SideFeatures::fit(&users, chosen.user_ids().unwrap()).unwrap();
    let recommender =
        Recommender::new(90, 60).components(8).item_features(items).user_features(users);
    let mut model = recommender.on(device).unwrap();
    model.fit(&chosen, 15).unwrap();
    model
}

#[test]
fn who_is_known_by_features_alone_is_answered_from_a_file_too() {
    for device in support::each_device() {
        let (folder, name) = (TempDir::new().unwrap(), device.name());
        let model = trained(&folder, &device);
        let path = folder.path().join("model.safetensors");
        model.save(&path).unwrap();
        let loaded = Model::load(&path, &device).unwrap();
        loaded.save(folder.path().join("again.safetensors")).unwrap();
        assert!(
            std::fs::read(&path).unwrap()
                == std::fs::read(folder.path().join("again.safetensors")).unwrap()
        );
        // A western has no genre known to the model.
        assert_eq!(
            (loaded.new_users(), loaded.new_items()),
            (vec!["u9999".to_string()], vec!["a1".into(), "z9".into()])
        );

        let before = loaded.recommend(0, 60, false).unwrap();
        let asked = loaded.with_newcomers(&["u9999".into()], &["z9".into(), "a1".into()]).unwrap();
        let seen = asked.seen().unwrap();
        let (users, items) = (seen.user_ids().unwrap(), seen.item_ids().unwrap());
        assert_eq!((users.raw().len(), items.raw().len(), items.row("a1").unwrap()), (91, 62, 0));
        // The others are unchanged, at their new rows.
        let again = asked.recommend(users.row("u000").unwrap(), 62, false).unwrap();
        let known: Vec<(u32, u32)> = again
            .iter()
            .filter(|found| !["a1", "z9"].contains(&&*items.raw()[found.item as usize]))
            .map(|found| (found.item - 1, found.score.to_bits()))
            .collect();
        assert_eq!(
            known,
            before.iter().map(|found| (found.item, found.score.to_bits())).collect::<Vec<_>>(),
            "{name}"
        );

        let taste = |item: u32| items.raw()[item as usize][1..].parse::<usize>().unwrap() % 3;
        // Bonn likes taste 1; by chance in one case of 3⁵.
        let best = asked.recommend(users.row("u9999").unwrap(), 6, true).unwrap();
        let of_taste = best
            .iter()
            .filter(|found| items.raw()[found.item as usize] == "a1" || taste(found.item) == 1);
        assert!(of_taste.count() >= 5, "{best:?} on {name}");
        for (new, wanted) in [("a1", 1), ("z9", 2)] {
            let similar = asked.similar_items(items.row(new).unwrap(), 5).unwrap();
            assert!(
                similar.iter().all(|found| taste(found.item) == wanted),
                "{new}: {similar:?} on {name}"
            );
        }
        says(
            loaded.with_newcomers(&[], &["a2".into()]),
            &["item `a2`", "no feature that the model was trained with"],
        );
        says(loaded.with_newcomers(&[], &["b1".into()]), &["unknown item `b1`"]);
    }
}

#[test]
fn a_later_file_may_hold_more() {
    let folder = TempDir::new().unwrap();
    let mut model = trained(&folder, &Device::cpu());
    let later = entities(
        table(&folder, "later.csv", "genres,item\nChildren,n5\nWar|Drama,a1\nWar,i003\n"),
        EntityKind::Items,
    );
    assert_eq!(later.ids, ["n5", "a1", "i003"]);
    model.add_entities(&later).unwrap();
    assert_eq!(model.new_items(), ["a1", "n5", "z9"]);
    let asked = model.with_newcomers(&[], &["a1".into()]).unwrap();
    // The later file wins for a1: it now belongs to the first taste.
    let similar = asked.similar_items(0, 3).unwrap();
    assert!(similar.iter().all(|found| (found.item - 1) % 3 == 0), "{similar:?}");
    let other = entities(
        table(&folder, "other.csv", "item,genre\nn5,Children\nn6,War\n"),
        EntityKind::Items,
    );
    says(model.add_entities(&other), &["unknown column", "genres"]);
    let plain = Features::new(60, 1, &[(0, 0, 1.0)]).unwrap();
    let mut plain = Recommender::new(90, 60).item_features(plain).on(&Device::cpu()).unwrap();
    plain.fit(&chosen(&folder, 90, 60), 1).unwrap();
    says(plain.add_entities(&later), &["were not made of a table"]);
}

#[test]
fn a_table_of_others_is_refused() {
    let folder = TempDir::new().unwrap();
    let chosen = chosen(&folder, 9, 6);
    let other =
        entities(table(&folder, "x.csv", "item,genre\n1,Crime\n2,War\n"), EntityKind::Items);
    says(
        SideFeatures::fit(&other, chosen.item_ids().unwrap()),
        &["x.csv", "none of the 6", "`1` and `i000`"],
    );
    for (text, words) in [
        (
            "item,genre\ni1,Crime\ni1,War\n",
            &["line 3", "column `item`", "i1 again, as in line 2", "a|b|c"][..],
        ),
        ("item,genre\n,Crime\ni1,War\n", &["line 2", "an empty field", "an id"]),
        ("item\ni1\ni2\n", &["no column besides the ids in `item`"]),
    ] {
        let path = table(&folder, "bad.csv", text);
        says(read_entities(path, EntityKind::Items, None, &TableOptions::default()), words);
    }
    let path = table(&folder, "bad.csv", "item,genre\ni1,Crime\n");
    says(
        read_entities(path, EntityKind::Items, Some("film"), &TableOptions::default()),
        &["unknown column", "item, genre"],
    );
}
