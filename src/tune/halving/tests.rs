use std::fs;
use std::path::Path;

use super::*;
use crate::tune::space::Parameter;

/// A function in place of trainings: the further a rung, the nearer to the true value. Rates above
/// .5 fail.
struct Function {
    calls: usize,
    shift: f64,
}

impl Evaluator for Function {
    fn rungs(&self) -> usize {
        4
    }

    fn cost(&self, _: &Configuration, rung: usize) -> u64 {
        3_u64.pow(rung as u32)
    }

    fn groups(&self, configurations: &[&Configuration]) -> Vec<Vec<usize>> {
        let all: Vec<usize> = (0..configurations.len()).collect();
        all.chunks(3).map(<[usize]>::to_vec).collect()
    }

    fn evaluate(&mut self, configurations: &[&Configuration], rung: usize) -> Result<Vec<f64>> {
        self.calls += configurations.len();
        let value = |configuration: &&Configuration| {
            let at = |place| configuration.value(place).unwrap_or(0.0);
            let noise = (at(1) * 1e6).sin() / 3_f64.powi(rung as i32);
            let value = (at(1).log10() + 2.5).abs() + 0.2 * at(0) + at(2) + 0.05 * noise;
            if at(1) > 0.5 { f64::NAN } else { value + self.shift }
        };
        Ok(configurations.iter().map(value).collect())
    }
}

fn space() -> Space {
    Space::new([
        Parameter::choice("loss", &["mse", "huber"]).structural(),
        Parameter::log("rate", 1e-5, 1.0),
        Parameter::float("delta", 0.0, 3.0).when("loss", &["huber"]),
    ])
    .unwrap()
}

fn plan(budget: Budget) -> Plan {
    let first = space().configuration(&[("loss", "mse"), ("rate", "0.9")]).unwrap();
    let better = space().configuration(&[("loss", "mse"), ("rate", "0.1")]).unwrap();
    Plan { budget, bracket: 27, group: 3, seed: 4, first: vec![better, first] }
}

fn run(path: Option<&Path>, budget: Budget, shift: f64) -> Result<(Searched, usize)> {
    let space = space();
    let mut journal = Journal::open(path, &space)?;
    let mut function = Function { calls: 0, shift };
    let plan = plan(budget);
    let searched =
        search(&space, &plan, &mut journal, None, &mut function, |_, _| ControlFlow::Continue(()))?;
    Ok((searched, function.calls))
}

/// The lines of a journal without their times.
fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let without =
        |line: &str| line.find("\"datetime").map_or(line.to_string(), |at| line[..at].to_string());
    text.lines().map(without).collect()
}

#[test]
fn a_bracket_keeps_a_third_and_the_default() {
    let (searched, calls) = run(None, Budget::Rungs(4), 0.0).unwrap();
    let reached = |rungs| searched.trials.iter().filter(|one| one.values.len() >= rungs).count();
    assert_eq!(searched.trials.len(), 27);
    let at: Vec<usize> = (1..=4).map(reached).collect();
    assert!(at[0] == 27 && (9..=10).contains(&at[1]) && (3..=4).contains(&at[2]), "{at:?}");
    assert!((1..=2).contains(&at[3]) && calls == at.iter().sum::<usize>());
    assert_eq!(searched.trials[0].state, State::Complete);
    assert_eq!(searched.trials[1].state, State::Failed);
    // Who goes on was no worse than who was left behind.
    let of = |state| searched.trials.iter().filter(move |one| one.state == state);
    let worst = of(State::Complete).skip(1).map(|one| one.values[0]).fold(0.0, f64::max);
    let left = of(State::Pruned).filter(|one| one.values.len() == 1);
    assert!(left.map(|one| one.values[0]).fold(9.0, f64::min) >= worst);
    assert_eq!(searched.cost, searched.trials.iter().map(|one| one.cost).sum::<u64>());
}

#[test]
fn a_budget_of_row_updates_is_kept() {
    for budget in [30, 100, 400, 1500] {
        let (searched, _) = run(None, Budget::RowUpdates(budget), 0.0).unwrap();
        assert!(searched.cost <= budget, "{} of {budget}", searched.cost);
        assert!(searched.cost * 3 > budget, "{} of {budget}", searched.cost);
    }
}

#[test]
fn a_search_cut_off_anywhere_goes_on_to_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.jsonl");
    let (_, all) = run(Some(&whole), Budget::Rungs(10), 0.0).unwrap();
    let (text, wanted) = (fs::read(&whole).unwrap(), lines(&whole));
    let (_, again) = run(Some(&whole), Budget::Rungs(10), 0.0).unwrap();
    assert!(lines(&whole) == wanted);
    // The third bracket was ended by the budget, so that its values are in the file too.
    assert!(all > 60 && again == 0, "{all} and {again} trainings");
    let mut random = crate::cpu::random::Random::new(3, 0);
    for _ in 0..25 {
        let at = (random.uniform() * text.len() as f64) as usize;
        let path = folder.path().join("cut.jsonl");
        fs::write(&path, &text[..at]).unwrap();
        run(Some(&path), Budget::Rungs(10), 0.0).unwrap();
        assert!(lines(&path) == wanted, "cut at {at}");
    }
}

#[test]
fn other_values_than_those_in_the_file_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.jsonl");
    run(Some(&path), Budget::Rungs(3), 0.0).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let half: String = text.lines().take(150).map(|line| format!("{line}\n")).collect();
    fs::write(&path, half).unwrap();
    let error = run(Some(&path), Budget::Rungs(3), 1e-9).unwrap_err().to_string();
    assert!(error.contains("other data, other options or another version"), "{error}");
}

#[test]
fn trials_of_others_are_observations_and_disturb_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.jsonl");
    run(Some(&path), Budget::Rungs(4), 0.0).unwrap();
    let foreign = concat!(
        r#"{"op_code":4,"worker_id":"w","study_id":0,"datetime_start":"2026-11-28T10:00:00"}"#,
        "\n",
        r#"{"op_code":5,"worker_id":"w","trial_id":27,"param_name":"rate","param_value_internal":0.003,"distribution":"{}"}"#,
        "\n",
        r#"{"op_code":6,"worker_id":"w","trial_id":27,"state":1,"values":[-Infinity],"datetime_complete":null}"#,
        "\n"
    );
    let text = fs::read_to_string(&path).unwrap() + foreign;
    fs::write(&path, text).unwrap();
    let (searched, _) = run(Some(&path), Budget::Rungs(8), 0.0).unwrap();
    assert_eq!(searched.trials.len(), 54);
    let once = lines(&path);
    assert!(once.iter().any(|line| line.contains(r#""trial_id":54,"#)));
    let (_, calls) = run(Some(&path), Budget::Rungs(8), 0.0).unwrap();
    assert!(lines(&path) == once && calls == 0, "{calls} trainings");
}

#[test]
fn trials_that_somebody_else_has_ended_are_trained_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, path) = (folder.path().join("whole.jsonl"), folder.path().join("study.jsonl"));
    let (_, all) = run(Some(&whole), Budget::Rungs(4), 0.0).unwrap();
    let text = fs::read_to_string(&whole).unwrap();
    // Cut off before the first metric; then what seems to be left is cleaned up.
    let begun = text.lines().take_while(|line| !line.contains("intermediate"));
    let mut begun: String = begun.map(|line| format!("{line}\n")).collect();
    for trial in 0..27 {
        begun += &format!(
            "{{\"op_code\":6,\"worker_id\":\"w\",\"trial_id\":{trial},\"state\":3,\"values\":null,\"datetime_complete\":null}}\n"
        );
    }
    fs::write(&path, begun).unwrap();
    let (searched, calls) = run(Some(&path), Budget::Rungs(4), 0.0).unwrap();
    assert_eq!(calls, all);
    let own = |path: &Path| -> Vec<String> {
        lines(path).into_iter().filter(|line| line.contains("\"gradus\"")).collect()
    };
    assert!(own(&path) == own(&whole) && searched.trials[0].values.len() == 4);
}

#[test]
fn a_larger_budget_goes_on_behind_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.jsonl");
    let (_, first) = run(Some(&path), Budget::RowUpdates(500), 0.0).unwrap();
    let before = lines(&path);
    let (searched, second) = run(Some(&path), Budget::RowUpdates(1500), 0.0).unwrap();
    let after = lines(&path);
    assert!(after[..before.len()] == before);
    assert!(searched.cost > 500 && first > 27 && second > 27 && after.len() > before.len());
    let (again, calls) = run(Some(&path), Budget::RowUpdates(1500), 0.0).unwrap();
    assert!((again.cost, calls) == (searched.cost, 0) && lines(&path) == after);
}

#[test]
fn a_search_that_was_stopped_goes_on_to_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    run(Some(&whole), Budget::Rungs(8), 0.0).unwrap();
    for after in 1..=5 {
        let (space, plan) = (space(), plan(Budget::Rungs(8)));
        let mut journal = Journal::open(Some(&stopped), &space).unwrap();
        let (mut function, mut rungs) = (Function { calls: 0, shift: 0.0 }, 0);
        let searched = search(&space, &plan, &mut journal, None, &mut function, |rung, _| {
            rungs += usize::from(!rung.from_file);
            if rungs >= after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(searched.unwrap().stopped || after == 5, "after {after}");
    }
    run(Some(&stopped), Budget::Rungs(8), 0.0).unwrap();
    assert!(lines(&stopped) == lines(&whole));
}

/// A search of one of several processes on a study; each training takes a moment.
fn joined(path: &Path, budget: Budget, settings: &str) -> Result<(Searched, usize)> {
    struct Slow(Function);
    impl Evaluator for Slow {
        fn rungs(&self) -> usize {
            self.0.rungs()
        }
        fn cost(&self, configuration: &Configuration, rung: usize) -> u64 {
            self.0.cost(configuration, rung)
        }
        fn groups(&self, configurations: &[&Configuration]) -> Vec<Vec<usize>> {
            self.0.groups(configurations)
        }
        fn evaluate(&mut self, configurations: &[&Configuration], rung: usize) -> Result<Vec<f64>> {
            std::thread::sleep(std::time::Duration::from_millis(configurations.len() as u64));
            self.0.evaluate(configurations, rung)
        }
    }
    let (space, plan) = (space(), plan(budget));
    let mut journal = Journal::open(Some(path), &space)?;
    journal.add(Entry::Attribute("settings", json!(settings)));
    journal.commit()?;
    let worker = Worker::join(path, &json!(settings), budget)?;
    assert!(worker.is_some());
    let mut slow = Slow(Function { calls: 0, shift: 0.0 });
    let searched =
        search(&space, &plan, &mut journal, worker, &mut slow, |_, _| ControlFlow::Continue(()))?;
    Ok((searched, slow.0.calls))
}

#[test]
fn several_processes_share_the_trainings_and_leave_the_file_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("alone.jsonl");
    let budget = Budget::RowUpdates(1500);
    let (wanted, all) = joined(&alone, budget, "a").unwrap();
    for processes in [2, 4] {
        let path = folder.path().join(format!("{processes}.jsonl"));
        let found: Vec<(Searched, usize)> = std::thread::scope(|scope| {
            let run = |_| scope.spawn(|| joined(&path, budget, "a").unwrap());
            let running: Vec<_> = (0..processes).map(run).collect();
            running.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(lines(&path) == lines(&alone), "{processes}");
        let calls: Vec<usize> = found.iter().map(|(_, calls)| *calls).collect();
        // Each trial is trained once at each rung, by one of them.
        assert_eq!(calls.iter().sum::<usize>(), all, "{calls:?}");
        for (searched, _) in &found {
            let values = |of: &Searched| -> Vec<Vec<u64>> {
                let bits = |one: &Trial| one.values.iter().map(|value| value.to_bits()).collect();
                of.trials.iter().map(bits).collect()
            };
            assert!(values(searched) == values(&wanted) && searched.cost == wanted.cost);
        }
    }
    // Nothing stands beside the studies any more.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn what_a_process_has_begun_is_trained_by_another_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.jsonl");
    fs::write(&path, "").unwrap();
    let join = || Worker::join(&path, &json!("a"), Budget::Rungs(9)).unwrap().unwrap();
    let groups = [vec![0, 1], vec![2], vec![3]];
    let (mut one, mut two) = (join(), join());
    // Half of the groups each, by what is free.
    assert_eq!(one.next(&groups, 0, 2).unwrap(), Next::Train(vec![0, 1, 2]));
    assert_eq!(two.next(&groups, 0, 2).unwrap(), Next::Train(vec![3]));
    two.put(&[3], 0, &[f64::NAN]).unwrap();
    assert_eq!(two.next(&groups, 0, 2).unwrap(), Next::Wait);
    one.put(&[0, 1], 0, &[0.5, 0.25]).unwrap();
    one.kill();
    assert_eq!(two.next(&groups, 0, 2).unwrap(), Next::Train(vec![2]));
    two.put(&[2], 0, &[-1.0]).unwrap();
    let Next::Done(found) = two.next(&groups, 0, 2).unwrap() else { panic!() };
    assert!(found[..3] == [0.5, 0.25, -1.0] && found[3].is_nan());
    // A third one takes the number of the first, and knows all; the next rung is shared again.
    let mut three = join();
    assert!(matches!(three.next(&groups, 0, 2).unwrap(), Next::Done(_)));
    assert_eq!(three.next(&groups, 1, 2).unwrap(), Next::Train(vec![0, 1, 2]));
    assert_eq!(two.next(&groups, 1, 2).unwrap(), Next::Train(vec![3]));
    // A line that was cut off is none.
    let work = folder.path().join("study.jsonl.work");
    let torn = fs::read_to_string(work.join("lines")).unwrap() + "{\"process\":0,\"rung\":1,\"tr";
    fs::write(work.join("lines"), torn).unwrap();
    // Whoever asks again has not trained what it said.
    assert_eq!(two.next(&groups, 1, 2).unwrap(), Next::Train(vec![3]));
    drop((two, three));
    assert!(!work.exists());
    // What killed ones have left is not taken: the numbers may be those of other trials.
    let mut killed = join();
    assert_eq!(killed.next(&groups, 0, 1).unwrap(), Next::Train(vec![0, 1, 2]));
    killed.put(&[0, 1, 2], 0, &[1.0; 3]).unwrap();
    killed.kill();
    assert_eq!(join().next(&groups, 0, 3).unwrap(), Next::Train(vec![0, 1, 2, 3]));
    assert!(!work.exists());
}

#[test]
fn a_folder_with_files_of_somebody_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, work) = (folder.path().join("study"), folder.path().join("study.work"));
    fs::write(&path, "").unwrap();
    fs::create_dir(&work).unwrap();
    fs::write(work.join("thesis.txt"), "years").unwrap();
    let join = || Worker::join(&path, &json!("a"), Budget::Rungs(9));
    let message = join().unwrap_err().to_string();
    assert!(message.contains("study.work") && message.contains("thesis.txt"), "{message}");
    fs::remove_file(work.join("thesis.txt")).unwrap();
    for (name, content) in [("2024", "years"), ("lines", "of a poem"), ("007", "")] {
        fs::write(work.join(name), content).unwrap();
        let message = join().unwrap_err().to_string();
        assert!(message.contains(&format!("it has `{name}`")), "{message}");
        assert_eq!(fs::read_to_string(work.join(name)).unwrap(), content);
        fs::remove_file(work.join(name)).unwrap();
    }
    fs::remove_dir(&work).unwrap();
    fs::write(&work, "years").unwrap();
    let message = join().unwrap_err().to_string();
    assert!(message.contains("need a folder of this name"), "{message}");
    assert_eq!(fs::read_to_string(&work).unwrap(), "years");
    fs::remove_file(&work).unwrap();
    let worker = join().unwrap().unwrap();
    fs::write(work.join("thesis.txt"), "years").unwrap();
    drop(worker);
    assert_eq!(fs::read_to_string(work.join("thesis.txt")).unwrap(), "years");
    assert_eq!(fs::read_dir(&work).unwrap().count(), 1);
}

#[test]
fn a_process_that_leaves_takes_nothing_from_one_that_came_since() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study");
    fs::write(&path, "").unwrap();
    let join = |settings: &str| Worker::join(&path, &json!(settings), Budget::Rungs(9));
    let mut first = join("a").unwrap().unwrap();
    let groups = [vec![0], vec![1]];
    assert_eq!(first.next(&groups, 0, 9).unwrap(), Next::Train(vec![0, 1]));
    let mut second = join("a").unwrap().unwrap();
    let message = join("b").unwrap_err().to_string();
    assert!(message.contains("study is in use by another process with other data"), "{message}");
    // It has not read that there is a second one, and its trainings have failed.
    drop(first);
    assert_eq!(second.next(&groups, 0, 9).unwrap(), Next::Train(vec![0, 1]));
    assert!(folder.path().join("study.work").exists());
}

#[test]
fn processes_with_other_budgets_or_limits_of_time_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.jsonl");
    fs::write(&path, "").unwrap();
    let join = |budget: Budget| Worker::join(&path, &json!("a"), budget);
    for (first, second) in [
        (Budget::Rungs(4), Budget::Rungs(5)),
        (Budget::Rungs(4), Budget::RowUpdates(4)),
        (Budget::Seconds(4.0), Budget::Seconds(4.0)),
    ] {
        let worker = join(first).unwrap();
        let message = join(second).unwrap_err().to_string();
        assert!(message.contains("another process works on the study"), "{message}");
        drop(worker);
        // Alone each of them may.
        drop(join(second).unwrap());
    }
}
