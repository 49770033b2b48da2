//! Accuracy, average precision, localisation, faithfulness, rank correlation and debiasing.
//!
//! Everything here is a function of numbers: predictions and labels, a full-size
//! explanation map and a segmentation mask, what a network says of changed images, or weights
//! and groups. One file a measure; [`Localisation`] collects the pairs of a data set,
//! [`Faithfulness`] its images, and they name the measures as the evaluation table does.
//!
//! Faithfulness is in two halves, for no network is run here: an image is changed along its
//! map ([`deleted`], [`inserted`], [`shown`], [`noisily_imputed`]), and what the network then
//! says is arithmetic ([`Confidences`]).
//!
//! A measure of nothing is `None`, never NaN.

mod accuracy;
mod average_drop;
mod average_increase;
mod average_precision;
mod conjugate_gradient;
mod curve;
mod debiasing;
mod deletion;
mod energy;
mod faithfulness;
mod imputation;
mod insertion;
mod localisation;
mod miou;
mod miou_dataset;
mod miou_fgbg;
mod miou_pairs;
mod overlap;
mod pointing;
mod pxap;
mod relevance;
mod road;
mod spearman;

pub use accuracy::{Share, top1, top1_by_class};
pub use average_drop::{drop_of, shown};
pub use average_increase::increases;
pub use average_precision::{average_precision, mean_average_precision};
pub use curve::{CURVE_STEPS, area_under};
pub use debiasing::{Debiasing, debiasing};
pub use deletion::deleted;
pub use energy::energy;
pub use faithfulness::{Confidences, Faithfulness};
pub use imputation::{imputed, noisily_imputed};
pub use insertion::{blurred, inserted};
pub use localisation::{Localisation, Measure, Pair};
pub use miou::miou;
pub use miou_dataset::miou_dataset;
pub use miou_fgbg::miou_fgbg;
pub use miou_pairs::miou_pairs;
pub use overlap::{Overlap, VOID, overlap};
pub use pointing::pointing;
pub use pxap::PixelCurve;
pub use relevance::by_relevance;
pub use road::{First, PERCENTILES, removed, road};
pub use spearman::spearman;
