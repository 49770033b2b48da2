use candle_core::Tensor;
use models::{Mode, Network, Tap};
use ops::{Gradients, Node};

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
    pixels: Tensor,
    activation: Node,
    /// The logits, `[B, K]`, which lead back to the activation as a variable: what is computed
    /// behind the tap is kept as long as this.
    logits: Node,
}

impl<'a> Subject<'a> {
    /// Runs the network.
    ///
    /// # Shapes
    ///
    /// - `pixels`: `[B, 3, H, W]`, in \[0, 1\]
    ///
    /// # Errors
    ///
    /// If the network does not compute, or if its activation at the tap has no places that
    /// could be mapped.
    pub fn new(network: &'a Network, tap: &'a Tap, pixels: &Node) -> Result<Self> {
        let activation = network.features(pixels, tap, Mode::Eval)?;
        if activation.rank() != 4 {
            let found = activation.dims().to_vec();
            return Err(Error::NoPlaces { tap: tap.name().to_owned(), found });
        }
        Self::at(network, tap, pixels.tensor().clone(), activation)
    }

    /// Runs the rest of the network, once for predictions and gradients.
    fn at(
        network: &'a Network,
        tap: &'a Tap,
        pixels: Tensor,
        activation: Node,
    ) -> Result<Self> {
        let logits = network.head(&Node::variable(&activation), tap, Mode::Eval)?;
        Ok(Self { network, tap, pixels, activation, logits })
    }

    /// The images, `[B, 3, H, W]`, in \[0, 1\].
    pub fn pixels(&self) -> &Tensor {
        &self.pixels
    }

    /// The network's activation at the tap, `[B, C, h, w]`; it leads back to the pixels if
    /// they were a variable.
    pub fn activation(&self) -> &Node {
        &self.activation
    }

    /// The logits, `[B, K]`.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub fn logits(&self) -> Result<Vec<f32>> {
        Ok(ops::host(self.logits.tensor())?)
    }

    /// The images in these rows, which may repeat: several targets of one image, say. Their
    /// activation is a constant.
    ///
    /// # Errors
    ///
    /// If there is no such row, or if the network does not compute.
    pub fn select(&self, rows: &[u32]) -> Result<Self> {
        let pixels = Node::from(&self.pixels).rows(rows)?.tensor().clone();
        Self::at(self.network, self.tap, pixels, self.activation.rows(rows)?)
    }

    /// The gradients of `Σ gradient ∘ logits` of the images in these rows, by the variable
    /// that the pixels were: their rows of what the whole batch would give, bit by bit.
    ///
    /// # Shapes
    ///
    /// - `gradient`: `[R, K]`
    /// - result: `[R, 3, H, W]`; nothing if the pixels were a constant
    ///
    /// # Errors
    ///
    /// If there is no such row, if the gradient has another shape, or if the network does
    /// not compute.
    pub fn backward(self, rows: &[u32], gradient: &Tensor) -> Result<Gradients> {
        let gradients = self.logits.backward_rows(rows, gradient)?;
        let at_tap = of_activation(&gradients, &self.activation);
        Ok(self.activation.backward_rows(rows, &at_tap)?)
    }

    /// The gradient of `Σ gradient ∘ logits` by the activation, of its shape.
    ///
    /// In evaluation mode an image's logits depend on its own activation alone, so that one
    /// pass serves the batch. The gradients of parameters are not computed.
    pub(crate) fn gradient_at_tap(&self, gradient: &Tensor) -> Result<Tensor> {
        let gradients = self.logits.clone().backward(gradient)?;
        Ok(of_activation(&gradients, &self.activation))
    }
}

fn of_activation(gradients: &Gradients, activation: &Node) -> Tensor {
    gradients.get(activation).expect("the logits depend on the activation").clone()
}
