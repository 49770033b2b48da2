//! Accuracy, average precision and localisation.
//!
//! Everything here is a function of numbers: predictions and labels, or a full-size
//! explanation map and a segmentation mask. One file a measure; [`Localisation`] collects
//! the pairs of a data set and names the measures as the evaluation table does.
//!
//! A measure of nothing is `None`, never NaN.

mod accuracy;
mod average_precision;
mod energy;
mod localisation;
mod miou;
mod miou_dataset;
mod miou_fgbg;
mod miou_pairs;
mod overlap;
mod pointing;
mod pxap;

pub use accuracy::{Share, top1, top1_by_class};
pub use average_precision::{average_precision, mean_average_precision};
pub use energy::energy;
pub use localisation::{Localisation, Measure, Pair};
pub use miou::miou;
pub use miou_dataset::miou_dataset;
pub use miou_fgbg::miou_fgbg;
pub use miou_pairs::miou_pairs;
pub use overlap::{Overlap, VOID, overlap};
pub use pointing::pointing;
pub use pxap::PixelCurve;
