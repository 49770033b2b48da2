//! The perturbed images x̂, and whether the files they are made from belong together.

use std::{collections::BTreeMap, path::Path};

use anyhow::ensure;
use artifact::{Direction, Maps, MapsMeta, Pack, Perturbations};
use attack::Directions;
use candle_core::{Device, Tensor};

/// What maps and perturbations must be of.
pub(crate) struct Of<'a> {
    pub(crate) pack: &'a Pack,
    /// The model's file and digest.
    pub(crate) model: (&'a Path, &'a str),
    pub(crate) meta: &'a MapsMeta,
}

/// The images of a pack under attack, each protected by its clean map.
///
/// Only the correctly predicted ones: no other is reweighted.
pub(crate) struct Attacked {
    clean: Maps,
    perturbations: Perturbations,
    /// Push of a pixel, per channel.
    step: [f32; 3],
    /// Of each image: its row in the pack, in the maps and in the perturbations.
    joined: Vec<Row>,
}

/// Where the parts of one image are.
#[derive(Clone, Copy)]
struct Row {
    pack: usize,
    clean: usize,
    direction: usize,
}

impl Attacked {
    /// Reads both files and joins them with the pack.
    ///
    /// # Errors
    ///
    /// If one of them is of another pack or model, or of images of another size, if the
    /// maps were made in another manner, or if an image lacks its perturbation.
    pub(crate) fn open(
        maps: &Path,
        perturbations: &Path,
        step: [f32; 3],
        of: &Of<'_>,
    ) -> anyhow::Result<Self> {
        let clean = Maps::read(maps)?;
        let size = (of.pack.height(), of.pack.width());
        let directions = Perturbations::read(perturbations, size)?;
        for made in [
            (maps, clean.provenance.as_ref()),
            (perturbations, directions.provenance.as_ref()),
        ] {
            artifact::made_from("data", made, (&of.pack.path, of.pack.digest()))?;
            artifact::made_from("model", made, of.model)?;
        }
        same_manner(maps, &clean, of)?;
        let joined = join((maps, &clean), (perturbations, &directions), of.pack)?;
        Ok(Self { clean, perturbations: directions, step, joined })
    }

    /// Forgets all images but these samples, in ascending order, if some are given.
    pub(crate) fn only(&mut self, samples: Option<&[usize]>) {
        if let Some(samples) = samples {
            self.joined.retain(|row| samples.binary_search(&row.pack).is_ok());
        }
    }

    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.joined.len()
    }

    /// Height and width of the maps.
    pub(crate) fn map_size(&self) -> (usize, usize) {
        (self.clean.height, self.clean.width)
    }

    /// Rows of these images in the pack.
    pub(crate) fn rows(&self, images: &[usize]) -> Vec<usize> {
        images.iter().map(|&i| self.joined[i].pack).collect()
    }

    /// The classes that these images' clean maps are of.
    pub(crate) fn targets(&self, images: &[usize]) -> Vec<i64> {
        images.iter().map(|&i| self.clean.target[self.joined[i].clean]).collect()
    }

    /// These images under attack, Eq. (1); `[B, 3, H, W]`.
    pub(crate) fn images(
        &self,
        pack: &Pack,
        images: &[usize],
        device: &Device,
    ) -> anyhow::Result<Tensor> {
        let rows = || images.iter().map(|&image| &self.joined[image]);
        let (mut signs, mut delta) = (Vec::new(), Vec::new());
        for row in rows() {
            match self.perturbations.direction(row.direction) {
                Direction::Signs(bits) => signs.extend_from_slice(bits),
                Direction::Delta(values) => delta.push(values),
            }
        }
        let directions = if delta.is_empty() {
            let shape = (images.len(), signs.len() / images.len().max(1));
            Directions::Signs(Tensor::from_vec(signs, shape, device)?)
        } else {
            Directions::Delta(delta)
        };
        let (h, w) = self.map_size();
        let map = |&Row { clean, .. }: &Row| {
            explain::protection(self.clean.map(clean), self.clean.status[clean] == 0)
        };
        let maps: Vec<f32> = rows().flat_map(map).collect();
        let maps = Tensor::from_vec(maps, (images.len(), h, w), &Device::Cpu)?;
        let x = performer::image_batch(pack, &self.rows(images), device)?;
        let all: Vec<u32> = (0..images.len() as u32).collect();
        Ok(attack::compose_batch(&x, &all, &directions, &maps, self.step)?)
    }

    /// One of these images under attack as it is drawn, u8 `[3, H, W]`.
    pub(crate) fn bytes(&self, pack: &Pack, image: usize) -> anyhow::Result<Vec<u8>> {
        let pixels = ops::host(&self.images(pack, &[image], &Device::Cpu)?)?;
        Ok(pixels.iter().map(|v| (v * 255.0).round() as u8).collect())
    }
}

/// Are these clean maps, made as the perturbed images' will be?
fn same_manner(path: &Path, maps: &Maps, of: &Of<'_>) -> anyhow::Result<()> {
    let path = path.display();
    if let Some(epsilon) = maps.meta.epsilon {
        anyhow::bail!(
            "{path}: expected maps of clean images, found maps of perturbed ones \
             (epsilon {epsilon})"
        );
    }
    let manner = |meta: &MapsMeta, classes: usize| {
        meta.manner().into_iter().chain([("number of classes", classes.to_string())])
    };
    let expected = manner(of.meta, of.pack.classes());
    let found = manner(&maps.meta, maps.classes);
    for ((what, expected), (_, found)) in expected.zip(found) {
        ensure!(
            expected == found,
            "{path} does not fit {} and the flags: expected {what} {expected}, found {found}",
            of.pack.path.display(),
        );
    }
    Ok(())
}

/// The correctly predicted images by their ids, in the order of the maps.
fn join(
    (a, clean): (&Path, &Maps),
    (b, perturbations): (&Path, &Perturbations),
    pack: &Pack,
) -> anyhow::Result<Vec<Row>> {
    let data = pack.path.display();
    let directions: BTreeMap<u32, usize> =
        perturbations.sample.iter().copied().zip(0..).collect();
    let beyond = directions.keys().find(|&&sample| sample as usize >= pack.len());
    if let Some(sample) = beyond {
        anyhow::bail!("{} is not of {data}, which has no sample {sample}", b.display());
    }

    let mut joined = Vec::new();
    for (row, &sample) in clean.sample.iter().enumerate() {
        let (a, b, image) = (a.display(), b.display(), sample as usize);
        ensure!(image < pack.len(), "{a} is not of {data}, which has no sample {sample}");
        ensure!(
            clean.labels.kind() == pack.labels.kind()
                && clean.labels.row(row) == pack.labels.row(image),
            "{a} and {data} label sample {sample} differently: they do not belong together",
        );
        if pack.labels.row(image).has(clean.predicted[row]) {
            let Some(&direction) = directions.get(&sample) else {
                anyhow::bail!("{b} lacks sample {sample}, which {a} has");
            };
            joined.push(Row { pack: image, clean: row, direction });
        }
    }
    let (images, all) = (joined.len(), clean.sample.len());
    tracing::info!("{images} of {all} images are predicted correctly, and explained again");
    Ok(joined)
}
