//! Where in an image a network sees a class: one trait, one file a method.
//!
//! [`explain`] is the paper's g(f(x)): it runs the network on a batch, lets an
//! [`Explainer`] map it, and normalises each map to \[0, 1\] at its native resolution;
//! [`full_size`] brings one to the size of its image. The conventions are those of
//! pytorch-grad-cam (Gildenblat et al., 1.5.5), so that numbers can be compared.
//!
//! The network is in evaluation mode, and an image's map does not depend on its batch.

mod ablation_cam;
mod activation_gradient;
mod augmented;
mod cam;
mod eigen_cam;
mod eigen_grad_cam;
mod error;
mod explainer;
mod explanation;
mod full_size;
mod grad_cam;
mod grad_cam_plus_plus;
mod gradient;
mod hires_cam;
mod integrated_gradients;
mod layer_cam;
mod normalize;
mod passes;
mod pixel_gradient;
mod projection;
mod score_cam;
mod smooth;
mod smooth_grad;
mod subject;
mod target_kind;
mod xgrad_cam;

pub use ablation_cam::AblationCam;
pub use eigen_cam::EigenCam;
pub use eigen_grad_cam::EigenGradCam;
pub use error::{Error, Result};
pub use explainer::{Explainer, METHODS, Raw, by_name};
pub use explanation::{Explanation, Target, class_of_set, explain, predicted_class};
pub use full_size::{full_size, protection};
pub use grad_cam::GradCam;
pub use grad_cam_plus_plus::GradCamPlusPlus;
pub use gradient::Gradient;
pub use hires_cam::HiResCam;
pub use integrated_gradients::IntegratedGradients;
pub use layer_cam::LayerCam;
pub use normalize::{Status, normalize};
pub use passes::Passes;
pub use score_cam::ScoreCam;
pub use smooth::{Smooth, UnknownSmooth};
pub use smooth_grad::SmoothGrad;
pub use subject::Subject;
pub use target_kind::TargetKind;
pub use xgrad_cam::XGradCam;
