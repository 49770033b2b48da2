use std::{env, path::Path, process::Command};

/// What programs are built from, of all that a working tree holds.
const SOURCES: [&str; 6] =
    ["crates", "pipelines", "Cargo.lock", "Cargo.toml", ".cargo", "rust-toolchain.toml"];

/// Which git revision a program stems from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revision {
    /// The commit, or `unknown` outside a working tree.
    pub name: String,
    /// Whether the sources differ from it.
    pub dirty: bool,
}

impl Revision {
    /// That of the working tree in which this program lies, if it is ours.
    ///
    /// It is asked for when the program runs, not when it is built: otherwise every commit,
    /// even of a note, would rebuild each program and make every artefact stale. The
    /// Makefile keeps the programs up to date with the tree.
    pub(crate) fn current() -> Self {
        let program = env::current_exe().unwrap_or_default();
        let tree = program.ancestors().find(|folder| folder.join(".git").exists());
        let tree = tree.filter(|folder| folder.join("pipelines").is_dir());
        tree.and_then(Self::of).unwrap_or(Self { name: "unknown".to_owned(), dirty: false })
    }

    fn of(tree: &Path) -> Option<Self> {
        let name = git(tree, &["rev-parse", "--short=12", "HEAD"])?;
        let status = ["status", "--porcelain", "--"];
        let changes = git(tree, &[&status[..], &SOURCES[..]].concat())?;
        Some(Self { name, dirty: !changes.is_empty() })
    }
}

/// What git says in `tree`, if it is there and agrees to.
fn git(tree: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(["--no-optional-locks", "-C"])
        .arg(tree)
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_sources_makes_a_tree_dirty_and_a_note_does_not() {
        let tree = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| git(tree.path(), arguments).unwrap();
        for folder in ["crates", "pipelines"] {
            std::fs::create_dir(tree.path().join(folder)).unwrap();
            artifact::atomic::write_bytes(&tree.path().join(folder).join("a.rs"), b"1")
                .unwrap();
        }
        artifact::atomic::write_bytes(&tree.path().join("Cargo.lock"), b"").unwrap();
        run(&["init", "-q"]);
        run(&["add", "."]);
        run(&["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "all"]);

        let clean = Revision::of(tree.path()).unwrap();
        assert_eq!((clean.name.len(), clean.dirty), (12, false));
        artifact::atomic::write_bytes(&tree.path().join("note"), b"2").unwrap();
        assert_eq!(Revision::of(tree.path()).unwrap(), clean);
        artifact::atomic::write_bytes(&tree.path().join("crates/a.rs"), b"2").unwrap();
        assert!(Revision::of(tree.path()).unwrap().dirty);
    }

    #[test]
    fn outside_a_tree_it_is_unknown() {
        assert_eq!(Revision::of(tempfile::tempdir().unwrap().path()), None);
    }
}
