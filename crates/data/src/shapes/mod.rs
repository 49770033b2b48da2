//! The built-in data set: textured shapes on textured backgrounds that give them away.
//!
//! Ten classes of silhouettes in any pose, colour and texture, on ten kinds of background.
//! In the training split the kind of background agrees with the class with probability
//! [`AGREEMENT`], elsewhere it is independent of it: a network that looks at backgrounds
//! learns faster and generalises worse, and the masks show where it should have looked.

mod scene;
mod silhouette;
mod texture;

use artifact::{LabelKind, Labels, PackData, PackMeta};
use rayon::prelude::*;

use crate::random::{Purpose, Stream};
use scene::Scene;
use silhouette::SILHOUETTES;

/// Height and width of the images.
pub const SIZE: usize = 64;

/// Share of the training images whose background is their class's.
pub const AGREEMENT: f32 = 0.8;

/// The knobs of difficulty.
mod difficulty {
    /// Radius of an object, in pixels.
    pub(super) const RADIUS: (f32, f32) = (14.0, 21.0);
    /// Length over width of an object's stretch in a random direction, at most.
    pub(super) const STRETCH: f32 = 1.3;
    /// How far an object is turned either way, in radians.
    pub(super) const TURN: f32 = 0.7;
    /// How much of an object's radius may lie outside the image.
    pub(super) const OUTSIDE: f32 = 0.1;
    /// Distance of an object's colours from the background's in RGB, if it can be had.
    pub(super) const OBJECT_CONTRAST: f32 = 0.45;
    /// Distance between the two colours of a background, at most.
    pub(super) const BACKGROUND_CONTRAST: f32 = 0.3;
    /// Distance between the two colours of an object, if it can be had.
    pub(super) const OBJECT_TEXTURE: f32 = 0.6;
    /// Period of a background, in pixels.
    pub(super) const BACKGROUND_PERIOD: (f32, f32) = (9.0, 16.0);
    /// Period of an object's surface, in pixels.
    pub(super) const OBJECT_PERIOD: (f32, f32) = (4.0, 6.0);
    /// Half width of the noise added to every pixel.
    pub(super) const NOISE: f32 = 0.05;
}

/// Makes `count` images of a split: `train`, or any other name for unbiased ones.
///
/// A pure function of its arguments whatever the number of threads: each image is drawn
/// from a stream of its own. Classes are balanced: image i is of class i mod 10.
/// `on_done` is told the number of images just finished.
///
/// # Shapes
///
/// - `images`: `[count, 3, 64, 64]`
/// - `masks`: `[count, 64, 64]`, class index + 1 inside the object, 0 outside
/// - `groups`: `[count]`, 1 where the background agrees with the class
///
/// ```
/// let pack = data::shapes::generate(20, "train", 0, &|_| ());
/// assert_eq!(pack.images.len(), 20 * 3 * 64 * 64);
/// assert_eq!(pack.meta.classes[0], "disc");
/// ```
pub fn generate(
    count: usize,
    split: &str,
    seed: u64,
    on_done: &(dyn Fn(usize) + Sync),
) -> PackData {
    let area = SIZE * SIZE;
    let mut images = vec![0; count * 3 * area];
    let mut masks = vec![0; count * area];
    let mut groups = vec![0; count];
    (images.par_chunks_exact_mut(3 * area))
        .zip(masks.par_chunks_exact_mut(area))
        .zip(&mut groups)
        .enumerate()
        .for_each(|(i, ((image, mask), group))| {
            let key = [seed, split_key(split), i as u64];
            let mut stream = Stream::new(Purpose::Shapes, key);
            let class = i % SILHOUETTES.len();
            let background = background(class, split == "train", &mut stream);
            Scene::draw(class, background, &mut stream).paint(image, mask, &mut stream);
            *group = u8::from(background == class);
            on_done(1);
        });
    PackData {
        meta: PackMeta {
            dataset: "shapes".into(),
            split: split.into(),
            classes: SILHOUETTES.iter().map(|s| s.name.to_owned()).collect(),
            labels: LabelKind::Single,
            image_size: Some([SIZE, SIZE]),
        },
        height: SIZE,
        width: SIZE,
        images,
        labels: Labels::Single(
            (0..count).map(|i| (i % SILHOUETTES.len()) as i64).collect(),
        ),
        masks: Some(masks),
        groups: Some(groups),
    }
}

/// A number for the name of a split (FNV-1a), so that no two share images.
fn split_key(split: &str) -> u64 {
    split.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The kind of background: the class's own or another where biased, any kind elsewhere.
fn background(class: usize, biased: bool, stream: &mut Stream) -> usize {
    let kinds = SILHOUETTES.len();
    if !biased {
        return stream.below(kinds);
    }
    let agrees = stream.chance(AGREEMENT);
    let other = (class + 1 + stream.below(kinds - 1)) % kinds;
    if agrees { class } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreeing(split: &str) -> usize {
        let pack = generate(1000, split, 0, &|_| ());
        pack.groups.unwrap().iter().map(|&g| usize::from(g)).sum()
    }

    #[test]
    fn backgrounds_give_classes_away_in_training_only() {
        assert!((760..840).contains(&agreeing("train")), "{}", agreeing("train"));
        assert!((70..130).contains(&agreeing("test")), "{}", agreeing("test"));
        assert!((70..130).contains(&agreeing("validation")));
    }

    #[test]
    fn every_class_is_as_frequent_and_masks_carry_it() {
        let pack = generate(40, "train", 3, &|_| ());
        let Labels::Single(labels) = pack.labels else { panic!("one label an image") };
        for class in 0..10 {
            assert_eq!(labels.iter().filter(|&&label| label == class).count(), 4);
        }
        for (mask, label) in pack.masks.unwrap().chunks(SIZE * SIZE).zip(labels) {
            let inside = mask.iter().filter(|&&m| m != 0).count();
            assert!(mask.iter().all(|&m| m == 0 || i64::from(m) == label + 1));
            assert!((30..SIZE * SIZE / 2).contains(&inside), "{inside} pixels");
        }
    }

    #[test]
    fn a_seed_gives_the_same_images_however_many_threads_draw_them() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let alone = pool.install(|| generate(30, "test", 5, &|_| ()));
        let together = generate(30, "test", 5, &|_| ());
        assert_eq!(alone.images, together.images);
        assert_eq!(alone.masks, together.masks);
        assert_eq!(alone.groups, together.groups);
    }

    #[test]
    fn a_smaller_pack_is_the_start_of_a_larger_one() {
        let (small, large) =
            (generate(5, "test", 5, &|_| ()), generate(9, "test", 5, &|_| ()));
        assert_eq!(small.images, large.images[..small.images.len()]);
    }

    #[test]
    fn seeds_and_splits_differ() {
        let images = |split, seed| generate(3, split, seed, &|_| ()).images;
        assert_ne!(images("test", 0), images("test", 1));
        assert_ne!(images("test", 0), images("validation", 0));
    }

    #[test]
    fn whoever_waits_is_told() {
        let done = std::sync::atomic::AtomicUsize::new(0);
        generate(12, "train", 0, &|n| {
            done.fetch_add(n, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 12);
    }
}
