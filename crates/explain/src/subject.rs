use candle_core::Tensor;
use models::{Mode, Network, Tap};

use crate::{Error, Result};

/// A batch of images in front of a network: what an explanation is of.
///
/// The activation at the tap is computed once, and shared by all methods and targets.
#[derive(Clone)]
pub struct Subject<'a> {
    /// The network, in evaluation mode.
    pub network: &'a Network,
    /// Where it is split.
    pub tap: &'a Tap,
    /// The images, `[B, 3, H, W]`, pixels in \[0, 1\].
    pub pixels: Tensor,
    /// The network's activation at the tap, without gradients; `[B, C, h, w]`.
    pub activation: Tensor,
}

impl<'a> Subject<'a> {
    /// Runs the network up to the tap.
    ///
    /// # Errors
    ///
    /// If the network does not compute, or if its activation at the tap has no places that
    /// could be mapped.
    pub fn new(network: &'a Network, tap: &'a Tap, pixels: &Tensor) -> Result<Self> {
        let pixels = pixels.detach();
        let activation = network.features(&pixels, tap, Mode::Eval)?.detach();
        if activation.rank() != 4 {
            let found = activation.dims().to_vec();
            return Err(Error::NoPlaces { tap: tap.name().to_owned(), found });
        }
        Ok(Self { network, tap, pixels, activation })
    }

    /// Runs the rest of the network: the logits, `[B, K]`.
    ///
    /// # Errors
    ///
    /// If the network does not compute.
    pub fn logits(&self) -> Result<Vec<f32>> {
        let logits = self.network.head(&self.activation, self.tap, Mode::Eval)?;
        Ok(logits.flatten_all()?.to_vec1()?)
    }

    /// The images in these rows, which may repeat: several targets of one image, say.
    ///
    /// # Errors
    ///
    /// If there is no such row.
    pub fn select(&self, rows: &[u32]) -> Result<Self> {
        let rows = Tensor::new(rows, self.pixels.device())?;
        Ok(Self {
            network: self.network,
            tap: self.tap,
            pixels: self.pixels.index_select(&rows, 0)?,
            activation: self.activation.index_select(&rows, 0)?,
        })
    }
}
