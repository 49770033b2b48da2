use std::f32::consts::TAU;

use super::SIZE;
use crate::random::Stream;

/// Corners of the random lattice that clouds are interpolated from.
const LATTICE: usize = 16;

/// A kind of pattern.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Stripes,
    Checks,
    Dots,
    Waves,
    Clouds,
    Gradient,
    Rings,
    Bricks,
    Zigzag,
    Grid,
    Plain,
    Ripples,
    Speckles,
}

/// The kinds of background; each class has the one of its index.
pub(super) const BACKGROUNDS: [Kind; 10] = [
    Kind::Stripes,
    Kind::Checks,
    Kind::Dots,
    Kind::Waves,
    Kind::Clouds,
    Kind::Gradient,
    Kind::Rings,
    Kind::Bricks,
    Kind::Zigzag,
    Kind::Grid,
];

/// The kinds of surface; the objects of each class have the one of its index, finer than any
/// background.
pub(super) const SURFACES: [Kind; 10] = [
    Kind::Waves,
    Kind::Plain,
    Kind::Speckles,
    Kind::Stripes,
    Kind::Dots,
    Kind::Checks,
    Kind::Ripples,
    Kind::Zigzag,
    Kind::Grid,
    Kind::Bricks,
];

/// A pattern in place: a share of its second colour at every point.
pub(super) struct Texture {
    kind: Kind,
    direction: [f32; 2],
    origin: [f32; 2],
    period: f32,
    lattice: [[f32; LATTICE]; LATTICE],
    colours: [[f32; 3]; 2],
}

impl Texture {
    /// A pattern of a kind, colours and range of periods, in a random place and direction.
    pub(super) fn draw(
        kind: Kind,
        colours: [[f32; 3]; 2],
        period: (f32, f32),
        stream: &mut Stream,
    ) -> Self {
        let angle = stream.between(0.0, TAU);
        let size = SIZE as f32;
        let origin = [stream.between(0.0, size), stream.between(0.0, size)];
        let period = stream.between(period.0, period.1);
        let mut lattice = [[0.0; LATTICE]; LATTICE];
        lattice.as_flattened_mut().fill_with(|| stream.uniform());
        Self {
            kind,
            direction: [angle.cos(), angle.sin()],
            origin,
            period,
            lattice,
            colours,
        }
    }

    /// The colour at a point of the image.
    pub(super) fn at(&self, x: f32, y: f32) -> [f32; 3] {
        let share = self.share(x, y);
        let [first, second] = self.colours;
        [0, 1, 2].map(|c| first[c] + (second[c] - first[c]) * share)
    }

    fn share(&self, x: f32, y: f32) -> f32 {
        let [cos, sin] = self.direction;
        let (x, y) = (x - self.origin[0], y - self.origin[1]);
        let (u, v) = ((x * cos + y * sin) / self.period, (y * cos - x * sin) / self.period);
        let half = |t: f32| f32::from(t.rem_euclid(1.0) < 0.5);
        match self.kind {
            Kind::Stripes => half(u),
            Kind::Checks => f32::from((half(u) == 1.0) != (half(v) == 1.0)),
            Kind::Dots => {
                let (a, b) = (u.rem_euclid(1.0) - 0.5, v.rem_euclid(1.0) - 0.5);
                f32::from(a * a + b * b < 0.1)
            }
            Kind::Waves => half(u + 0.4 * (v * TAU / 2.0).sin()),
            Kind::Clouds => self.cloud(u, v),
            Kind::Gradient => (0.5 + u * self.period / SIZE as f32).clamp(0.0, 1.0),
            Kind::Rings => half((u * u + v * v).sqrt()),
            Kind::Bricks => {
                let row = (2.0 * v).floor();
                let along = (u + 0.5 * row.rem_euclid(2.0)).rem_euclid(1.0);
                f32::from(along < 0.12 || (2.0 * v).rem_euclid(1.0) < 0.24)
            }
            Kind::Zigzag => half(u + (v.rem_euclid(1.0) - 0.5).abs()),
            Kind::Grid => f32::from(u.rem_euclid(1.0) < 0.25 || v.rem_euclid(1.0) < 0.25),
            Kind::Plain => 0.0,
            Kind::Ripples => 0.5 + 0.5 * (u * TAU).sin(),
            Kind::Speckles => self.corner((4.0 * u).floor(), (4.0 * v).floor()),
        }
    }

    /// Value noise: random values on a lattice, smoothly interpolated.
    fn cloud(&self, u: f32, v: f32) -> f32 {
        let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
        let (a, b) = (u.floor(), v.floor());
        let (fu, fv) = (smooth(u - a), smooth(v - b));
        let upper = self.corner(a, b) * (1.0 - fu) + self.corner(a + 1.0, b) * fu;
        let lower =
            self.corner(a, b + 1.0) * (1.0 - fu) + self.corner(a + 1.0, b + 1.0) * fu;
        upper * (1.0 - fv) + lower * fv
    }

    fn corner(&self, a: f32, b: f32) -> f32 {
        let wrap = |t: f32| t.rem_euclid(LATTICE as f32) as usize % LATTICE;
        self.lattice[wrap(a)][wrap(b)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    #[test]
    fn every_kind_uses_both_colours_and_nothing_beyond() {
        let mut stream = Stream::new(Purpose::Shapes, [0; 3]);
        for kind in BACKGROUNDS {
            let texture =
                Texture::draw(kind, [[0.0; 3], [1.0; 3]], (7.0, 15.0), &mut stream);
            let points = (0..64u8).flat_map(|y| (0..64u8).map(move |x| (x, y)));
            let shares: Vec<f32> =
                points.map(|(x, y)| texture.at(f32::from(x), f32::from(y))[0]).collect();
            assert!(shares.iter().all(|s| (0.0..=1.0).contains(s)), "{kind:?}");
            let mean = shares.iter().sum::<f32>() / 4096.0;
            assert!((0.05..0.95).contains(&mean), "{kind:?}: {mean}");
        }
    }
}
