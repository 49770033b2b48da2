use std::path::Path;

use artifact::{ModelFile, ModelMeta, Pack, Provenance};
use candle_core::Device;
use models::{Arch, Head, Network, Normalization};

use crate::{Error, Result};

/// A network, and the file that it came from.
pub struct Performer {
    /// The network; use it in [`models::Mode::Eval`].
    pub network: Network,
    /// What the file says of it; of a plain torchvision file, what it was taken for.
    pub meta: ModelMeta,
    /// Where the file came from; none in a foreign one.
    pub provenance: Option<Provenance>,
    /// BLAKE3 of the file, for the provenance of what is made with it.
    pub digest: String,
}

/// Opens the model file at `path` to judge the images of `pack` on a device.
///
/// A file without the metadata key `model` is a plain torchvision one: `arch` must name
/// its network, the classes and the image size are the pack's, and the pixels are
/// normalised as `ImageNet`'s. If the file does say its network, `arch` may only agree.
///
/// # Errors
///
/// If the file cannot be read, if its tensors are not exactly those of the network, or
/// if its classes (their names, in order), its kind of labels or its image size are not
/// the pack's: such an error names both files.
pub fn open(
    path: &Path,
    arch: Option<Arch>,
    pack: &Pack,
    device: &Device,
) -> Result<Performer> {
    let digest = artifact::digest(path)?;
    let mut file = ModelFile::read(path)?;
    let meta = match (file.meta.take(), arch) {
        (Some(meta), _) => meta,
        (None, Some(arch)) => torchvision(arch, pack),
        (None, None) => return Err(Error::NoArch { path: path.to_owned() }),
    };
    let arch = known(path, arch, &meta)?;
    check(path, &meta, pack)?;
    load((path, digest), arch, meta, file, device)
}

/// Opens the model file at `path` to judge any image on a device.
///
/// # Errors
///
/// If the file cannot be read, does not say its classes and image size, holds another
/// network than `arch`, or if its tensors are not exactly those of the network.
pub fn open_alone(path: &Path, arch: Option<Arch>, device: &Device) -> Result<Performer> {
    let digest = artifact::digest(path)?;
    let mut file = ModelFile::read(path)?;
    let Some(meta) = file.meta.take() else {
        return Err(Error::NoMeta { path: path.to_owned() });
    };
    let arch = known(path, arch, &meta)?;
    load((path, digest), arch, meta, file, device)
}

/// The network that the file says it holds, with which `asked` may only agree.
fn known(path: &Path, asked: Option<Arch>, meta: &ModelMeta) -> Result<Arch> {
    let network = |source| Error::Network { path: path.to_owned(), source };
    let found = meta.arch.parse::<Arch>().map_err(network)?;
    match asked.filter(|&expected| expected != found) {
        None => Ok(found),
        Some(expected) => Err(Error::Arch {
            path: path.to_owned(),
            expected: expected.to_string(),
            found: found.to_string(),
        }),
    }
}

fn load(
    (path, digest): (&Path, String),
    arch: Arch,
    meta: ModelMeta,
    file: ModelFile,
    device: &Device,
) -> Result<Performer> {
    let norm = Normalization { mean: meta.mean, std: meta.std };
    let network = Network::load(arch, meta.classes.len(), norm, &file.tensors, Head::Keep)
        .and_then(|network| network.to_device(device))
        .map_err(|source| Error::Network { path: path.to_owned(), source })?;
    Ok(Performer { network, meta, provenance: file.provenance, digest })
}

/// What a plain torchvision file is taken for.
fn torchvision(arch: Arch, pack: &Pack) -> ModelMeta {
    ModelMeta {
        arch: arch.to_string(),
        classes: pack.meta.classes.clone(),
        image_size: [pack.height(), pack.width()],
        mean: Normalization::IMAGENET.mean,
        std: Normalization::IMAGENET.std,
        labels: Some(pack.meta.labels),
        round: 0,
        epoch: 0,
    }
}

/// Does the model judge images of the pack's size by the pack's classes?
fn check(model: &Path, meta: &ModelMeta, pack: &Pack) -> Result<()> {
    if let Some((expected, found)) = difference(&meta.classes, &pack.meta.classes) {
        return Err(Error::Classes {
            model: model.to_owned(),
            pack: pack.path.clone(),
            expected,
            found,
        });
    }
    if let Some(expected) = meta.labels.filter(|&labels| labels != pack.meta.labels) {
        return Err(Error::Labels {
            model: model.to_owned(),
            pack: pack.path.clone(),
            expected,
            found: pack.meta.labels,
        });
    }
    let size = [pack.height(), pack.width()];
    if meta.image_size != size {
        return Err(Error::ImageSize {
            model: model.to_owned(),
            pack: pack.path.clone(),
            expected: meta.image_size,
            found: size,
        });
    }
    Ok(())
}

/// The first difference of two lists of classes, in words.
fn difference(expected: &[String], found: &[String]) -> Option<(String, String)> {
    if expected.len() != found.len() {
        return Some((expected.len().to_string(), found.len().to_string()));
    }
    let (i, (e, f)) = expected.iter().zip(found).enumerate().find(|(_, (e, f))| e != f)?;
    Some((format!("`{e}` as class {i}"), format!("`{f}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn equal_classes_do_not_differ() {
        assert_eq!(difference(&names(&["cat", "dog"]), &names(&["cat", "dog"])), None);
    }

    #[test]
    fn the_first_other_class_is_named() {
        let differ = difference(&names(&["cat", "dog"]), &names(&["cat", "cow"]));
        assert_eq!(differ, Some(("`dog` as class 1".into(), "`cow`".into())));
    }

    #[test]
    fn a_missing_class_is_counted() {
        let differ = difference(&names(&["cat", "dog"]), &names(&["cat"]));
        assert_eq!(differ, Some(("2".into(), "1".into())));
    }
}
