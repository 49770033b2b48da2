//! Images, maps laid over them, and sheets of both, as pixels.
//!
//! ```
//! use pictures::{Colours, from_planes, overlay};
//!
//! // a black pixel beside a white one; the map speaks for the white one
//! let image = from_planes(&[0, 255, 0, 255, 0, 255], [1, 2]);
//! let picture = overlay(&image, &[0.0, 1.0], Colours::Inferno);
//! assert_eq!(picture.dimensions(), (2, 1));
//! ```

mod colours;
mod enlarge;
mod number;
mod overlay;
mod picture;
mod sheet;

pub use colours::{Colours, UnknownColours};
pub use enlarge::{enlarge, factor};
pub use image::RgbImage;
pub use overlay::overlay;
pub use picture::{from_planes, png};
pub use sheet::{Pair, sheet};
