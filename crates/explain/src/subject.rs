use std::sync::OnceLock;

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
    errand: Option<Errand>,
}

/// The way back to the pixels that [`Subject::backward`] will go.
#[derive(Clone)]
struct Errand {
    rows: Vec<u32>,
    /// By the logits of these rows.
    gradient: Tensor,
    /// What of it has come to the tap, as soon as it is there.
    at_tap: OnceLock<Tensor>,
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
        Ok(Self { network, tap, pixels, activation, logits, errand: None })
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

    /// Says what [`Self::backward`] will be asked for: the gradients of `Σ gradient ∘ logits` of
    /// the images in these rows. A method that explains by gradients takes them along to the tap,
    /// so that parameters behind it are read once for both.
    ///
    /// # Shapes
    ///
    /// - `gradient`: `[R, K]`
    #[must_use]
    pub fn going_back(self, rows: Vec<u32>, gradient: Tensor) -> Self {
        Self { errand: Some(Errand { rows, gradient, at_tap: OnceLock::new() }), ..self }
    }

    /// The gradients that [`Self::going_back`] was told of, by the variable that the pixels
    /// were: bit by bit the rows of what the whole batch would give; none if it was not told.
    ///
    /// # Shapes
    ///
    /// - result: `[R, 3, H, W]`; nothing if the pixels were a constant
    ///
    /// # Errors
    ///
    /// If there is no such row, if the gradient has another shape, or if the network does
    /// not compute.
    pub fn backward(self) -> Result<Gradients> {
        let Some(Errand { rows, gradient, at_tap }) = self.errand else {
            return Ok(Gradients::default());
        };
        let at_tap = match at_tap.into_inner() {
            Some(at_tap) => at_tap,
            None => to_tap(self.logits, &self.activation, &rows, &gradient)?,
        };
        Ok(self.activation.backward_rows(&rows, &at_tap)?)
    }

    /// The gradient of `Σ gradient ∘ logits` by the activation, of its shape.
    ///
    /// In evaluation mode an image's logits depend on its own activation alone, so that one
    /// pass serves the batch. The gradients of parameters are not computed.
    pub(crate) fn gradient_at_tap(&self, gradient: &Tensor) -> Result<Tensor> {
        let back = |rows: &[u32], gradient: &Tensor| {
            to_tap(self.logits.clone(), &self.activation, rows, gradient)
        };
        let images = self.logits.dim(0)?;
        let mut rows: Vec<u32> = (0..images as u32).collect();
        let open = |errand: &&Errand| errand.at_tap.get().is_none();
        let Some(errand) = self.errand.as_ref().filter(open) else {
            return back(&rows, gradient);
        };
        rows.extend(&errand.rows);
        let both = back(&rows, &Tensor::cat(&[gradient, &errand.gradient], 0)?)?;
        // it is open: nobody has set it
        let _ = errand.at_tap.set(both.narrow(0, images, errand.rows.len())?);
        Ok(both.narrow(0, 0, images)?)
    }
}

/// The gradient by the activation of some rows, which may repeat.
fn to_tap(
    logits: Node,
    activation: &Node,
    rows: &[u32],
    gradient: &Tensor,
) -> Result<Tensor> {
    let gradients = logits.backward_rows(rows, gradient)?;
    Ok(gradients.get(activation).expect("the logits depend on the activation").clone())
}
