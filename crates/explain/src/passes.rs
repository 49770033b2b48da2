use std::fmt;

/// What a method computes for one map.
///
/// # Examples
///
/// ```
/// use explain::Passes;
///
/// let passes = Passes { head_backward: 1, ..Passes::PREDICTION };
/// assert_eq!(passes.to_string(), "1 forward, 1 backward through the head");
/// assert_eq!(passes.times(3).to_string(), "3 forward, 3 backward through the head");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passes {
    /// Forward through the network.
    pub forward: usize,
    /// Backward through the network, down to the pixels.
    pub backward: usize,
    /// Forward through the head alone, the layers behind the tap.
    pub head_forward: usize,
    /// Backward through the head alone.
    pub head_backward: usize,
}

impl Passes {
    /// The one pass that predicts, and that every method needs.
    pub const PREDICTION: Self =
        Self { forward: 1, backward: 0, head_forward: 0, head_backward: 0 };

    /// Those of so many maps.
    #[must_use]
    pub fn times(self, maps: usize) -> Self {
        Self {
            forward: maps * self.forward,
            backward: maps * self.backward,
            head_forward: maps * self.head_forward,
            head_backward: maps * self.head_backward,
        }
    }
}

impl fmt::Display for Passes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} forward", self.forward)?;
        let others = [
            (self.backward, "backward"),
            (self.head_forward, "forward through the head"),
            (self.head_backward, "backward through the head"),
        ];
        for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        Ok(())
    }
}
