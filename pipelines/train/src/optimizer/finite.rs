use anyhow::bail;
use ops::Later;

/// Whether parameters stayed finite in a step, known when it is done.
pub(crate) struct Finite {
    pub(super) names: Vec<String>,
    /// Of each of them 0, if it did.
    pub(super) later: Later,
}

impl Finite {
    /// # Errors
    ///
    /// If one did not; it is named.
    pub(crate) fn check(self) -> anyhow::Result<()> {
        let flags = self.later.values()?;
        match self.names.iter().zip(flags).find(|(_, flag)| *flag != 0.0) {
            Some((name, _)) => bail!("the parameter `{name}` did not stay finite"),
            None => Ok(()),
        }
    }
}
