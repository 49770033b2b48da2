//! Pictures of a pack's maps: each laid over its image, and sheets of both.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, ensure};
use artifact::{Maps, Pack, Provenance, atomic};
use pictures::{Colours, Pair, RgbImage};
use stage::Stage;

use crate::{picture_args::PictureArgs, samples::Samples};

/// Pairs on a sheet, and how many of them side by side.
const ON_A_SHEET: usize = 32;
const COLUMNS: usize = 4;

/// Images are enlarged until their shorter side has as many pixels.
const SIDE: usize = 192;

/// The pictures that are asked for.
pub(crate) struct Overlays<'a> {
    folder: &'a Path,
    colours: Colours,
    /// In the order of the pack.
    samples: Vec<usize>,
}

impl<'a> Overlays<'a> {
    /// Those of the flags, if there are any.
    ///
    /// # Errors
    ///
    /// If a sample is not in the pack, or where the folder should be lies a file.
    pub(crate) fn new(args: &'a PictureArgs, pack: &Pack) -> anyhow::Result<Option<Self>> {
        let Some(folder) = args.overlay.as_deref() else { return Ok(None) };
        ensure!(
            folder.is_dir() || !folder.exists(),
            "--overlay {}: expected a folder for the pictures of a pack, found a file",
            folder.display(),
        );
        let samples = match &args.samples {
            Some(samples) => samples.of(pack)?,
            None => Samples::first_of(pack).of(pack)?,
        };
        Ok(Some(Self { folder, colours: args.colours.unwrap_or_default(), samples }))
    }

    /// Makes the folder: now, rather than when all maps are there.
    pub(crate) fn make_folder(&self) -> anyhow::Result<()> {
        fs::create_dir_all(self.folder)
            .with_context(|| format!("cannot make the folder {}", self.folder.display()))
    }

    /// The samples that are drawn, in the order of the pack.
    pub(crate) fn samples(&self) -> &[usize] {
        &self.samples
    }

    /// Writes `SAMPLE.png` for each sample that has a map, and `sheet-0.png` … with all of
    /// them beside their images.
    ///
    /// `image` gives what row of the maps is of, u8 `[3, H, W]`.
    pub(crate) fn write(
        &self,
        stage: &Stage,
        maps: &Maps,
        image: impl Fn(usize) -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<()> {
        let rows: BTreeMap<usize, usize> =
            maps.sample.iter().map(|&sample| sample as usize).zip(0..).collect();
        let drawn: Vec<usize> =
            self.samples.iter().filter_map(|sample| rows.get(sample).copied()).collect();
        let progress = stage.progress(drawn.len() as u64, "pictures");
        let mut sheets = 0;
        for rows in drawn.chunks(ON_A_SHEET) {
            let mut pairs = Vec::with_capacity(rows.len());
            for &row in rows {
                stage.check()?;
                let pair = self.pair(maps, row, &image(row)?);
                write(&self.folder.join(format!("{}.png", pair.number)), &pair.overlay)?;
                pairs.push(pair);
                progress.inc(1);
            }
            let sheet = pictures::sheet(&pairs, COLUMNS);
            write(&self.folder.join(format!("sheet-{sheets}.png")), &sheet)?;
            sheets += 1;
        }
        drop(progress);
        self.say(drawn.len(), sheets);
        Ok(())
    }

    fn pair(&self, maps: &Maps, row: usize, image: &[u8]) -> Pair {
        let [height, width] = maps.meta.image_size;
        let from = (maps.height, maps.width);
        // what would be protected: of a map that says nothing, no place
        let map = explain::protection(maps.map(row), maps.status[row] == 0);
        let map = explain::full_size(&map, from, (height, width));
        let image = pictures::from_planes(image, [height, width]);
        let overlay = pictures::overlay(&image, &map, self.colours);
        let factor = pictures::factor([height, width], SIDE);
        let [image, overlay] = [image, overlay].map(|p| pictures::enlarge(&p, factor));
        Pair { number: maps.sample[row], image, overlay }
    }

    fn say(&self, drawn: usize, sheets: usize) {
        let (folder, missing) = (self.folder.display(), self.samples.len() - drawn);
        tracing::info!("{drawn} pictures in {folder}, sheets of them: {sheets}");
        if missing > 0 {
            let all = self.samples.len();
            tracing::warn!(
                "{missing} of {all} samples are not drawn: they are not predicted \
                 correctly, and have no perturbed image"
            );
        }
        let next = self.folder.join(format!("sheet-{sheets}.png"));
        if next.exists() {
            tracing::warn!("{} is of an earlier run, with more samples", next.display());
        }
    }
}

/// Writes the picture as PNG, atomically.
pub(crate) fn write(path: &Path, picture: &RgbImage) -> anyhow::Result<()> {
    let png = pictures::png(picture).context("cannot encode a picture")?;
    Ok(atomic::write_bytes(path, &png)?)
}

/// Provenance of maps, which do not depend on the pictures that are drawn of them.
pub(crate) fn without_pictures(mut provenance: Provenance) -> Provenance {
    for flag in ["samples", "colours"] {
        provenance.flags.remove(flag);
    }
    provenance
}
