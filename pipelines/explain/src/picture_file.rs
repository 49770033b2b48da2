//! Explaining an image that is in no pack.

use std::{fs, path::Path};

use anyhow::{Context, anyhow, bail, ensure};
use candle_core::Device;
use data::{Fit, Geometry, ImageSource, Pixels};
use explain::{Explanation, Status, Subject, TargetKind};
use ops::Node;
use performer::Performer;
use pictures::RgbImage;

use crate::{Args, overlay, prediction};

/// Explains the class that the network predicts of the image or that is named, writes the map laid over it at
/// its own size, and prints what is predicted.
///
/// # Errors
///
/// If the flags do not fit an image, the model does not say what images it takes, the image
/// cannot be decoded, or the network's outputs are not finite.
pub(crate) fn run(args: &Args, image: &Path, device: &Device) -> anyhow::Result<()> {
    let output = args.pictures.overlay.as_deref().context("no --overlay")?;
    check(image, output)?;
    ensure!(
        !["label", "labels"].contains(&args.target.as_str()),
        "--target {}: an image of --image has no label; leave it out or name a class",
        args.target,
    );
    let performer = performer::open_alone(&args.model, args.arch, device)?;
    let pixels = ImageSource::File(image.to_owned()).read().map_err(|bad| {
        anyhow!("{bad}; expected a whole JPEG, PNG, BMP, WebP, TIFF or GIF file")
    })?;

    let explanation = explain(args, &performer, &pixels)?;
    let class = &performer.meta.classes[explanation.target[0] as usize];
    match explanation.status[0] {
        Status::Ok => (),
        Status::Flat => tracing::warn!("the map is flat: no place speaks for {class}"),
        Status::NotFinite => bail!(
            "{}: the map or the outputs for {} are not finite; train the model anew",
            args.model.display(),
            image.display()
        ),
    }
    let picture = draw(args, &explanation, pixels);
    overlay::write(output, &picture)?;
    let meta = &performer.meta;
    let line = prediction::line(&meta.classes, &explanation.logits, meta.labels);
    stage::print(&format!("{line}\n"))?;
    Ok(())
}

/// Is this a file that may be written, and another than the image?
fn check(image: &Path, output: &Path) -> anyhow::Result<()> {
    let shown = output.display();
    ensure!(
        output.extension().is_some_and(|end| end.eq_ignore_ascii_case("png")),
        "--overlay {shown}: with --image expected a file whose name ends in .png"
    );
    ensure!(
        !output.is_dir(),
        "--overlay {shown}: with --image expected a file, found a folder"
    );
    if let (Ok(a), Ok(b)) = (fs::canonicalize(image), fs::canonicalize(output)) {
        ensure!(a != b, "--overlay {shown} is the image itself: give another file");
    }
    Ok(())
}

/// The map of the image, brought to the network's size as `prepare --fit squash` does.
fn explain(
    args: &Args,
    performer: &Performer,
    pixels: &Pixels,
) -> anyhow::Result<Explanation> {
    let [height, width] = performer.meta.image_size;
    ensure!(
        height == width && height > 0,
        "{}: expected a network of square images for --image, found {height}x{width}; \
         explain a pack of such images by --data",
        args.model.display(),
    );
    let geometry = Geometry { size: height, fit: Fit::Squash };
    let planes = geometry.image(&pixels.rgb, pixels.height, pixels.width);
    let network = &performer.network;
    let images = performer::pixels(&[&planes], [height, width], network.device())?;
    let tap = network.resolve_tap(args.tap.as_deref())?;
    let explainer = explain::by_name(&args.explainer, args.smooth, args.batch_size)?;
    let kind = TargetKind::of(&args.target, &performer.meta.classes)?;
    ops::threads::run(|| {
        let subject = Subject::new(network, &tap, &Node::from(&images))?;
        Ok(subject.predict_and_explain(explainer.as_ref(), kind, |_| Vec::new())?)
    })
}

/// The map over the image, both at the image's own size: squashing keeps every place at its
/// share of height and width.
fn draw(args: &Args, explanation: &Explanation, pixels: Pixels) -> RgbImage {
    let (height, width) = (pixels.height, pixels.width);
    let map = explain::protection(explanation.map(0), explanation.status[0] == Status::Ok);
    let native = (explanation.height, explanation.width);
    let map = explain::full_size(&map, native, (height, width));
    let image = RgbImage::from_raw(width as u32, height as u32, pixels.rgb)
        .expect("three bytes a pixel");
    pictures::overlay(&image, &map, args.pictures.colours.unwrap_or_default())
}
