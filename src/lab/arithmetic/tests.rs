//! Choices with planted timings, for machines that this one need not be.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

fn cpu(name: &str, isa: Isa) -> Here {
    Here::new(name.to_owned(), isa, Precision::Bf16)
}

/// A choice whose measurement finds these rates.
fn chosen(store: &Store, here: &Here, rates: &[f64]) -> String {
    assert_eq!(rates.len(), here.candidates.len());
    settle(store, here, |_| rates.to_vec()).unwrap().arithmetic
}

/// A choice that must not measure.
fn known(store: &Store, here: &Here) -> String {
    settle(store, here, |_| panic!("it was measured before")).unwrap().arithmetic
}

/// Changes the file as another version or a person might.
fn edit(store: &Store, from: &str, to: &str) {
    let path = store.root().join("arithmetic.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

fn this_version() -> String {
    format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"))
}

#[test]
fn another_arithmetic_has_to_be_faster_by_more_than_a_tenth() {
    let cases = [
        (Isa::Avx512Bf16, &[200.0, 100.0][..], "bf16-dot"),
        (Isa::Avx512Bf16, &[80.0, 140.0], "bf16-rounded"),
        (Isa::Avx512Bf16, &[100.0, 109.0], "bf16-dot"),
        (Isa::Avx512Bf16, &[100.0, 111.0], "bf16-rounded"),
        (Isa::Amx, &[900.0, 80.0, 140.0], "bf16-amx"),
        (Isa::Amx, &[100.0, 80.0, 140.0], "bf16-rounded"),
        (Isa::Amx, &[100.0, 150.0, 140.0], "bf16-dot"),
        (Isa::Amx, &[0.0, 0.0, 0.0], "bf16-amx"),
    ];
    for (isa, rates, expected) in cases {
        let (_folder, store) = store();
        let here = cpu("a", isa);
        assert_eq!(chosen(&store, &here, rates), expected, "{rates:?}");
        // From now on it stands, whatever a measurement would say.
        assert_eq!(known(&store, &here), expected, "{rates:?}");
    }
}

#[test]
fn every_kind_of_machine_has_a_choice_of_its_own() {
    let (_folder, store) = store();
    let (a, b, amx) = (cpu("a", Isa::Avx512Bf16), cpu("b", Isa::Avx512Bf16), cpu("a", Isa::Amx));
    assert_eq!(chosen(&store, &a, &[80.0, 140.0]), "bf16-rounded");
    assert_eq!(chosen(&store, &b, &[200.0, 100.0]), "bf16-dot");
    assert_eq!(chosen(&store, &amx, &[900.0, 80.0, 140.0]), "bf16-amx");
    let all = [&a, &b, &amx].map(|here| known(&store, here));
    assert_eq!(all, ["bf16-rounded", "bf16-dot", "bf16-amx"]);
}

#[test]
fn all_who_ask_at_once_get_one_answer() {
    let (_folder, store) = store();
    let (start, measured) = (Barrier::new(8), AtomicU32::new(0));
    let ask = |index: usize| {
        start.wait();
        // Half of them would choose otherwise than the other half.
        let rates = [100.0, if index < 4 { 50.0 } else { 200.0 }];
        let measure = |_: &Here| {
            measured.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(std::time::Duration::from_millis(20));
            rates.to_vec()
        };
        settle(&store, &cpu("a", Isa::Avx512Bf16), measure).unwrap()
    };
    let answers: Vec<ChosenArithmetic> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..8).map(|index| scope.spawn(move || ask(index))).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(measured.load(Ordering::Relaxed), 1);
}

#[test]
fn a_new_version_measures_again_and_changes_for_a_gain_only() {
    let here = cpu("a", Isa::Avx512Bf16);
    for (rates, expected) in [
        ([100.0, 95.0], "bf16-rounded"),
        ([109.0, 100.0], "bf16-rounded"),
        ([111.0, 100.0], "bf16-dot"),
    ] {
        let (_folder, store) = store();
        assert_eq!(chosen(&store, &here, &[80.0, 140.0]), "bf16-rounded");
        edit(&store, &this_version(), "\"version\": \"0.0.1\"");
        assert_eq!(chosen(&store, &here, &rates), expected, "{rates:?}");
        assert_eq!(known(&store, &here), expected, "{rates:?}");
        let text = std::fs::read_to_string(store.root().join("arithmetic.json")).unwrap();
        assert_eq!(text.matches("\"arithmetic\": \"").count(), 3, "replaced, not added: {text}");
    }
}

#[test]
fn a_choice_that_the_machine_cannot_do_is_made_again() {
    let (_folder, store) = store();
    let here = cpu("a", Isa::Avx512Bf16);
    assert_eq!(chosen(&store, &here, &[80.0, 140.0]), "bf16-rounded");
    for unfit in ["bf16-amx", "bf17", "f32"] {
        let arithmetic = |name: &str| format!("\"arithmetic\": \"{name}\",\n      \"rates\"");
        edit(&store, &arithmetic("bf16-rounded"), &arithmetic(unfit));
        assert_eq!(chosen(&store, &here, &[80.0, 140.0]), "bf16-rounded");
    }
    // By hand it may be another one that the machine has.
    edit(&store, "\"arithmetic\": \"bf16-rounded\",\n", "\"arithmetic\": \"bf16-dot\",\n");
    assert_eq!(known(&store, &here), "bf16-dot");
    std::fs::remove_file(store.root().join("arithmetic.json")).unwrap();
    assert_eq!(chosen(&store, &here, &[80.0, 140.0]), "bf16-rounded");
}

#[test]
fn a_damaged_file_is_told_in_few_words() {
    let (_folder, store) = store();
    let here = cpu("a", Isa::Avx512Bf16);
    let path = store.root().join("arithmetic.json");
    let long = format!("{{\"choices\": \"{}\"}}", "x\u{1b}[31m".repeat(100_000));
    let huge = format!("{{\"choices\": [], \"more\": \"{}\"}}", "x".repeat(1 << 20));
    for text in ["", "{", "[]", "null", "{\"choices\": [{}]}", "\u{feff}{}", &long, &huge] {
        std::fs::write(&path, text).unwrap();
        let error = settle(&store, &here, |_| vec![1.0, 2.0]).unwrap_err();
        let shown = error.to_string();
        assert_eq!(error.exit_code(), 3, "{shown}");
        assert!(shown.contains("arithmetic.json") && shown.contains("remove it"), "{shown}");
        assert!(shown.len() < 500 && !shown.contains('\u{1b}'), "{shown}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(settle(&store, &here, |_| vec![1.0, 2.0]).unwrap_err().to_string().contains("no file"));
}

#[test]
fn a_preview_writes_nothing_and_foresees_what_the_store_will_choose() {
    if std::env::var_os("SCARCE_ISA").is_some() {
        println!("SKIPPED: SCARCE_ISA leaves no choice");
        return;
    }
    let (_folder, store) = store();
    for precision in [Precision::F32, Precision::Bf16] {
        let choice = foreseen(Some(&store), precision).unwrap();
        let all = all_kernels(precision).unwrap();
        assert!(all.contains(&choice.kernels));
        assert_eq!(matches!(choice.reason, Reason::Only), all.len() == 1, "{choice:?}");
        assert!(!store.root().join("arithmetic.json").exists());
        let kept = kernels(&store, precision).unwrap();
        assert_eq!(store.root().join("arithmetic.json").exists(), all.len() > 1);
        let choice = foreseen(Some(&store), precision).unwrap();
        assert_eq!(choice.kernels, kept);
        assert_eq!(matches!(choice.reason, Reason::Stored(_)), all.len() > 1, "{choice:?}");
        for kernels in all {
            assert_eq!(kernels_of(&numerics(kernels), precision).unwrap(), Some(kernels));
            let other = Numerics { version: 1, ..numerics(kernels) };
            assert_eq!(kernels_of(&other, precision).unwrap(), None);
        }
    }
}
