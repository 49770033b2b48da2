use std::f32::consts::TAU;

use super::{
    SIZE, difficulty,
    silhouette::{SILHOUETTES, Silhouette},
    texture::{BACKGROUNDS, SURFACES, Texture},
};
use crate::random::Stream;

/// Colours that are tried before the most distant one so far is taken.
const ATTEMPTS: usize = 12;

/// Points inside a pixel at which the silhouette is asked.
const POINTS: [[f32; 2]; 4] = [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]];

/// What an image shows.
pub(super) struct Scene {
    class: usize,
    silhouette: &'static Silhouette,
    pose: Pose,
    background: Texture,
    surface: Texture,
}

impl Scene {
    /// A random object of a class on a kind of background.
    pub(super) fn draw(class: usize, background: usize, stream: &mut Stream) -> Self {
        let ground = ground_colours(stream);
        let object = object_colours(&ground, stream);
        Self {
            class,
            silhouette: &SILHOUETTES[class],
            pose: Pose::draw(stream),
            background: Texture::draw(
                BACKGROUNDS[background],
                ground,
                difficulty::BACKGROUND_PERIOD,
                stream,
            ),
            surface: Texture::draw(
                SURFACES[class],
                object,
                difficulty::OBJECT_PERIOD,
                stream,
            ),
        }
    }

    /// Paints the image, `[3, 64, 64]`, and its mask, `[64, 64]`.
    ///
    /// A pixel belongs to the object if half of it does; on the edge colours blend.
    pub(super) fn paint(&self, image: &mut [u8], mask: &mut [u8], stream: &mut Stream) {
        for (i, mask) in mask.iter_mut().enumerate() {
            let (x, y) = ((i % SIZE) as f32, (i / SIZE) as f32);
            let covered = self.covered(x, y);
            *mask = if covered >= 0.5 { self.class as u8 + 1 } else { 0 };
            let ground = self.background.at(x, y);
            let object = if covered > 0.0 { self.surface.at(x, y) } else { ground };
            for c in 0..3 {
                let noise = stream.between(-difficulty::NOISE, difficulty::NOISE);
                let pixel = ground[c] + (object[c] - ground[c]) * covered + noise;
                // `as` saturates: below 0 is 0, above 255 is 255.
                image[c * SIZE * SIZE + i] = (pixel * 255.0).round() as u8;
            }
        }
    }

    /// The share of the pixel at (x, y) that the object covers, in quarters.
    fn covered(&self, x: f32, y: f32) -> f32 {
        if !self.pose.may_cover(x, y) {
            return 0.0;
        }
        let inside = POINTS.iter().filter(|[dx, dy]| {
            let [u, v] = self.pose.own([x + dx, y + dy]);
            self.silhouette.contains(u, v)
        });
        inside.count() as f32 / POINTS.len() as f32
    }
}

/// Where an object is and how it is turned, sized and stretched.
struct Pose {
    centre: [f32; 2],
    reach: f32,
    /// From the image, about the centre, to the object's own unit disc.
    inverse: [[f32; 2]; 2],
}

impl Pose {
    fn draw(stream: &mut Stream) -> Self {
        let radius = stream.between(difficulty::RADIUS.0, difficulty::RADIUS.1);
        let stretch = stream.between(1.0, difficulty::STRETCH).sqrt();
        let reach = radius * stretch;
        let margin = reach * (1.0 - difficulty::OUTSIDE);
        let centre = [0, 1].map(|_| stream.between(margin, SIZE as f32 - margin));
        // Turn, stretch along an axis, turn back and a little more: a stretch in any direction.
        let angle = stream.between(0.0, TAU);
        let first = rotation(angle);
        let second = rotation(stream.between(-difficulty::TURN, difficulty::TURN) - angle);
        let scaled = [
            first[0].map(|entry| entry / (radius * stretch)),
            first[1].map(|entry| entry / (radius / stretch)),
        ];
        Self { centre, reach: 1.05 * reach + 1.0, inverse: product(second, scaled) }
    }

    /// A point of the image in the object's own coordinates.
    fn own(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let (x, y) = (x - self.centre[0], y - self.centre[1]);
        self.inverse.map(|row| row[0] * x + row[1] * y)
    }

    fn may_cover(&self, x: f32, y: f32) -> bool {
        (x - self.centre[0]).abs() < self.reach && (y - self.centre[1]).abs() < self.reach
    }
}

fn rotation(angle: f32) -> [[f32; 2]; 2] {
    let (sin, cos) = angle.sin_cos();
    [[cos, -sin], [sin, cos]]
}

fn product(a: [[f32; 2]; 2], b: [[f32; 2]; 2]) -> [[f32; 2]; 2] {
    a.map(|row| [0, 1].map(|j| row[0] * b[0][j] + row[1] * b[1][j]))
}

/// A background's two colours.
fn ground_colours(stream: &mut Stream) -> [[f32; 3]; 2] {
    let first = colour(|_| 0.0, stream);
    [first, shade(first, difficulty::BACKGROUND_CONTRAST, stream)]
}

/// A colour at most `distance` away.
fn shade(colour: [f32; 3], distance: f32, stream: &mut Stream) -> [f32; 3] {
    let reach = distance / 3f32.sqrt();
    colour.map(|c| (c + stream.between(-reach, reach)).clamp(0.0, 1.0))
}

/// An object's two colours, the first of which differs from the background's.
fn object_colours(ground: &[[f32; 3]; 2], stream: &mut Stream) -> [[f32; 3]; 2] {
    let first = colour(|c| nearest(c, ground) - difficulty::OBJECT_CONTRAST, stream);
    let second = colour(|c| nearest(c, &[first]) - difficulty::OBJECT_TEXTURE, stream);
    [first, second]
}

/// The first random colour whose `merit` is not negative, or the best of the attempts.
fn colour(merit: impl Fn([f32; 3]) -> f32, stream: &mut Stream) -> [f32; 3] {
    let mut best = ([0.5; 3], f32::NEG_INFINITY);
    for _ in 0..ATTEMPTS {
        let candidate = [0, 1, 2].map(|_| stream.between(0.1, 0.9));
        let merit = merit(candidate);
        if merit > best.1 {
            best = (candidate, merit);
        }
        if merit >= 0.0 {
            break;
        }
    }
    best.0
}

fn nearest(colour: [f32; 3], others: &[[f32; 3]]) -> f32 {
    let distance = |other: &[f32; 3]| {
        let square: f32 = (0..3).map(|c| (colour[c] - other[c]).powi(2)).sum();
        square.sqrt()
    };
    others.iter().map(distance).fold(f32::INFINITY, f32::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    #[test]
    fn an_object_stays_mostly_in_the_image() {
        let mut stream = Stream::new(Purpose::Shapes, [0; 3]);
        for _ in 0..200 {
            let pose = Pose::draw(&mut stream);
            for c in pose.centre {
                assert!((difficulty::RADIUS.0 * 0.9..SIZE as f32).contains(&c));
            }
            assert_eq!(pose.own(pose.centre), [0.0, 0.0]);
        }
    }

    #[test]
    fn colours_keep_their_distance() {
        let mut stream = Stream::new(Purpose::Shapes, [1; 3]);
        let [first, second] = ground_colours(&mut stream);
        assert!(nearest(first, &[second]) <= difficulty::BACKGROUND_CONTRAST);
        // (3, 4, 0) is 5 away from the origin, (9, 9, 9) further
        assert_eq!(nearest([0.0; 3], &[[3.0, 4.0, 0.0], [9.0; 3]]), 5.0);
    }
}
