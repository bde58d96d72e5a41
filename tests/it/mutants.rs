//! The planted faults of `tests/mutants` still fit the code. Whether the tests notice them is tried
//! by hand, with `tests/mutants/run`: that takes a build for each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn patches() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutants");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "patch")).collect()
}

#[test]
fn planted_faults_can_be_planted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if Command::new("git").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no git here");
        return;
    }
    assert!(patches().len() >= 5);
    for path in patches() {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().take_while(|line| !line.starts_with("diff ")).collect();
        let has = |key: &str| lines.iter().any(|line| line.starts_with(key));
        assert!(has("what: ") && has("test: "), "{}: {lines:?}", path.display());
        let check = Command::new("git")
            .args(["apply", "--check"])
            .arg(&path)
            .current_dir(root)
            .env("GIT_CEILING_DIRECTORIES", root.parent().unwrap_or(root))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success(), "{}: write it anew\n{errors}", path.display());
    }
}
