/// A class: what its objects look like, whatever their pose.
pub(super) struct Silhouette {
    pub(super) name: &'static str,
    outline: Outline,
}

/// Where the inside is, within the unit disc.
enum Outline {
    /// Within a polygon, of which the corners are given in order.
    Polygon(&'static [[f32; 2]]),
    /// Where a formula says so.
    Formula(fn(f32, f32) -> bool),
}

/// The ten classes, in the order of their indices.
pub(super) const SILHOUETTES: [Silhouette; 10] = [
    Silhouette {
        name: "disc",
        outline: Outline::Formula(|x, y| x * x + y * y < 0.85 * 0.85),
    },
    Silhouette {
        name: "square",
        outline: Outline::Formula(|x, y| x.abs().max(y.abs()) < 0.7),
    },
    Silhouette {
        name: "triangle",
        outline: Outline::Polygon(&[[0.0, -1.0], [0.87, 0.5], [-0.87, 0.5]]),
    },
    Silhouette {
        name: "cross",
        outline: Outline::Formula(|x, y| {
            let (x, y) = (x.abs(), y.abs());
            x.min(y) < 0.28 && x.max(y) < 0.95
        }),
    },
    Silhouette {
        name: "star",
        outline: Outline::Polygon(&[
            [0.0, -1.0],
            [0.26, -0.36],
            [0.95, -0.31],
            [0.43, 0.14],
            [0.59, 0.81],
            [0.0, 0.45],
            [-0.59, 0.81],
            [-0.43, 0.14],
            [-0.95, -0.31],
            [-0.26, -0.36],
        ]),
    },
    Silhouette {
        name: "ring",
        outline: Outline::Formula(|x, y| (0.5 * 0.5..0.9 * 0.9).contains(&(x * x + y * y))),
    },
    Silhouette {
        name: "crescent",
        outline: Outline::Formula(|x, y| {
            let bitten = (x - 0.45) * (x - 0.45) + y * y < 0.7 * 0.7;
            x * x + y * y < 0.95 * 0.95 && !bitten
        }),
    },
    Silhouette {
        name: "heart",
        outline: Outline::Formula(|x, y| {
            let (x, y) = (1.3 * x, 0.2 - 1.3 * y);
            let r = x * x + y * y - 1.0;
            r * r * r < x * x * y * y * y
        }),
    },
    Silhouette {
        name: "arrow",
        outline: Outline::Polygon(&[
            [1.0, 0.0],
            [0.2, 0.75],
            [0.2, 0.28],
            [-0.95, 0.28],
            [-0.95, -0.28],
            [0.2, -0.28],
            [0.2, -0.75],
        ]),
    },
    Silhouette {
        name: "corner",
        outline: Outline::Polygon(&[
            [-0.65, -0.75],
            [-0.1, -0.75],
            [-0.1, 0.2],
            [0.65, 0.2],
            [0.65, 0.75],
            [-0.65, 0.75],
        ]),
    },
];

impl Silhouette {
    /// Whether a point is inside.
    pub(super) fn contains(&self, x: f32, y: f32) -> bool {
        match self.outline {
            Outline::Formula(inside) => inside(x, y),
            Outline::Polygon(corners) => encloses(corners, x, y),
        }
    }
}

/// Even-odd rule: a ray to the right crosses an odd number of edges.
fn encloses(corners: &[[f32; 2]], x: f32, y: f32) -> bool {
    let mut before = corners[corners.len() - 1];
    let mut inside = false;
    for &corner in corners {
        let crosses = (corner[1] > y) != (before[1] > y);
        let slope = (before[0] - corner[0]) / (before[1] - corner[1]);
        if crosses && x < corner[0] + (y - corner[1]) * slope {
            inside = !inside;
        }
        before = corner;
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polygon_has_an_inside() {
        let triangle = [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]];
        assert!(encloses(&triangle, 0.5, 0.5));
        assert!(!encloses(&triangle, 1.5, 1.5));
        assert!(!encloses(&triangle, -0.5, 0.5));
    }

    #[test]
    fn silhouettes_are_within_the_unit_disc_and_cover_enough_of_it() {
        for silhouette in &SILHOUETTES {
            let mut inside = 0;
            for i in -110..=110i16 {
                for j in -110..=110i16 {
                    let (x, y) = (f32::from(i) / 100.0, f32::from(j) / 100.0);
                    if silhouette.contains(x, y) {
                        inside += 1;
                        assert!(x * x + y * y < 1.04, "{} at {x} {y}", silhouette.name);
                    }
                }
            }
            let share = f64::from(inside) / 31416.0;
            assert!((0.25..0.8).contains(&share), "{}: {share}", silhouette.name);
        }
    }
}
