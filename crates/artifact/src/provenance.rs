use std::{collections::BTreeMap, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{Error, Result, atomic::io_error};

/// What made an artefact, and from what: JSON under the key `consonance`.
///
/// It holds no clock, no host and no path, so that equal inputs give equal bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The stage's name, such as `train`.
    pub stage: String,
    /// The stage's version.
    pub version: String,
    /// The commit of the program's working tree when the stage ran, or `unknown`.
    pub revision: String,
    /// Whether the sources differed from that commit.
    pub dirty: bool,
    /// Its `--seed`.
    pub seed: u64,
    /// Its other flags which bear on the result, by name, defaults included.
    pub flags: BTreeMap<String, String>,
    /// The BLAKE3 of each input by its role (`data`, `model`, `clean` …), in hexadecimal.
    pub inputs: BTreeMap<String, String>,
    /// Digests inherited from the inputs: the `data` and `model` this ultimately stems from.
    pub origin: BTreeMap<String, String>,
}

impl Provenance {
    /// The digest recorded for `role`, of a direct input if there is one, else inherited.
    ///
    /// ```
    /// let mut provenance = artifact::Provenance::default();
    /// provenance.origin.insert("data".into(), "aa".into());
    /// assert_eq!(provenance.of("data"), Some("aa"));
    /// provenance.inputs.insert("data".into(), "bb".into());
    /// assert_eq!(provenance.of("data"), Some("bb"));
    /// ```
    pub fn of(&self, role: &str) -> Option<&str> {
        self.inputs.get(role).or_else(|| self.origin.get(role)).map(String::as_str)
    }

    /// Records that an input of this `role` was read, whose file has this `digest`.
    #[must_use]
    pub fn with_input(mut self, role: &str, digest: impl Into<String>) -> Self {
        self.inputs.insert(role.to_owned(), digest.into());
        self
    }

    /// Records as origin the `data` and `model` that an input stems from, where the input
    /// knows them and this does not yet.
    #[must_use]
    pub fn inheriting(mut self, input: Option<&Self>) -> Self {
        for role in ["data", "model"] {
            if let Some(digest) = input.and_then(|input| input.of(role)) {
                self.origin.entry(role.to_owned()).or_insert_with(|| digest.to_owned());
            }
        }
        self
    }
}

/// The BLAKE3 of the file at `path`, in hexadecimal.
pub fn digest(path: &Path) -> Result<String> {
    // a pipe or a device might never end
    let metadata = std::fs::metadata(path).map_err(|source| io_error(path, source))?;
    if !metadata.is_file() {
        let source = io::Error::other("expected a file, found something else");
        return Err(io_error(path, source));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap_rayon(path).map_err(|source| io_error(path, source))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Checks that two files stem from the same input `role`, as far as both know theirs.
///
/// # Errors
///
/// [`Error::Disagreement`], naming both files, if they know different ones.
pub fn agree(
    role: &str,
    a: (&Path, Option<&Provenance>),
    b: (&Path, Option<&Provenance>),
) -> Result<()> {
    match b.1.and_then(|known| known.of(role)) {
        Some(digest) => made_from(role, a, (b.0, digest)),
        None => Ok(()),
    }
}

/// Checks that the file `a` was made from the file `b`, whose digest is given, as its input
/// `role`; passes if `a` does not know.
///
/// # Errors
///
/// [`Error::Disagreement`], naming both files, if it was made from another one.
pub fn made_from(
    role: &str,
    a: (&Path, Option<&Provenance>),
    b: (&Path, &str),
) -> Result<()> {
    match a.1.and_then(|known| known.of(role)) {
        Some(digest) if digest != b.1 => Err(Error::Disagreement {
            role: role.to_owned(),
            a: a.0.to_owned(),
            b: b.0.to_owned(),
            expected: digest.to_owned(),
            found: b.1.to_owned(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_model(digest: &str) -> Provenance {
        Provenance::default().with_input("model", digest)
    }

    #[test]
    fn a_disagreement_names_both_files() {
        let (a, b) = (of_model("aaaa"), of_model("bbbb"));
        let (clean, perturbed) = (Path::new("maps"), Path::new("perturbed-maps"));
        let error = agree("model", (clean, Some(&a)), (perturbed, Some(&b))).unwrap_err();
        let error = error.to_string();
        for word in ["maps", "perturbed-maps", "model", "aaaa", "bbbb"] {
            assert!(error.contains(word), "{error}");
        }
        assert!(made_from("model", (clean, Some(&a)), (perturbed, "bbbb")).is_err());
    }

    #[test]
    fn what_is_not_known_does_not_disagree() -> Result<()> {
        let (a, b) = (of_model("aaaa"), Provenance::default());
        let path = Path::new("file");
        agree("model", (path, Some(&a)), (path, Some(&b)))?;
        agree("model", (path, Some(&a)), (path, None))?;
        agree("data", (path, Some(&a)), (path, Some(&a)))?;
        made_from("model", (path, None), (path, "bbbb"))?;
        made_from("model", (path, Some(&a)), (path, "aaaa"))
    }

    #[test]
    fn origins_are_inherited_through_inputs() {
        let maps = of_model("aaaa").with_input("data", "dddd").with_input("maps", "mmmm");
        let scores =
            Provenance::default().with_input("clean", "cccc").inheriting(Some(&maps));
        let weights =
            Provenance::default().with_input("scores", "ssss").inheriting(Some(&scores));
        assert_eq!(weights.of("model"), Some("aaaa"));
        assert_eq!(weights.of("data"), Some("dddd"));
        assert_eq!(weights.of("maps"), None);
        assert_eq!(weights.clone().inheriting(None), weights);
    }

    #[test]
    fn the_digest_is_blake3() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty");
        crate::atomic::write_bytes(&path, b"")?;
        // the published test vector of the empty input
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(digest(&path)?, empty);
        Ok(())
    }
}
