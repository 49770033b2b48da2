//! Rules of update, with a state that is written and read.

mod finite;

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use artifact::Values;
use candle_core::{DType, Tensor, Var};
use ops::{
    Gradients,
    optimizer::{Rule, Update},
};

use crate::args::{Algorithm, Recipe};
pub(crate) use finite::Finite;

/// A rule of update and its state, by the names of the parameters.
///
/// candle-nn's own keep their state to themselves, so that no run could go on.
pub(crate) struct Optimizer {
    recipe: Recipe,
    step: u64,
    /// For each parameter, one moment for each of [`Self::buffers`].
    state: BTreeMap<String, Vec<Tensor>>,
}

impl Optimizer {
    /// A rule that has not seen any gradient.
    ///
    /// # Errors
    ///
    /// If there is no memory for its state.
    pub(crate) fn new(
        recipe: Recipe,
        parameters: &BTreeMap<String, Var>,
    ) -> candle_core::Result<Self> {
        let mut optimizer = Self { recipe, step: 0, state: BTreeMap::new() };
        for (name, var) in parameters {
            let zero = |_| Tensor::zeros(var.shape(), DType::F32, var.device());
            let zeros = optimizer.buffers().iter().map(zero);
            let zeros = zeros.collect::<candle_core::Result<_>>()?;
            optimizer.state.insert(name.clone(), zeros);
        }
        Ok(optimizer)
    }

    /// Goes on from the state that [`Self::lend`] lent after `step` steps.
    ///
    /// # Errors
    ///
    /// If the tensors are not exactly those of this rule and these parameters.
    pub(crate) fn restore(
        recipe: Recipe,
        parameters: &BTreeMap<String, Var>,
        step: u64,
        tensors: &BTreeMap<String, Tensor>,
    ) -> anyhow::Result<Self> {
        let mut optimizer = Self::new(recipe, parameters)?;
        optimizer.step = step;
        let mut used = 0;
        let buffers = optimizer.buffers();
        for (name, state) in &mut optimizer.state {
            for (buffer, values) in buffers.iter().zip(state) {
                let key = format!("{buffer}.{name}");
                let tensor =
                    tensors.get(&key).with_context(|| format!("no tensor `{key}`"))?;
                let expected = parameters[name].shape();
                let found = tensor.shape();
                ensure!(
                    found == expected,
                    "`{key}` has the shape {found:?}, its parameter {expected:?}",
                );
                // a copy, since it is going to change
                *values = tensor.copy()?.to_device(parameters[name].device())?;
                used += 1;
            }
        }
        if used != tensors.len() {
            let known = |key: &String| {
                key.split_once('.').is_some_and(|(buffer, name)| {
                    buffers.contains(&buffer) && parameters.contains_key(name)
                })
            };
            let unused = tensors.keys().find(|key| !known(key)).map_or("", |key| key);
            bail!("`{unused}` is of no parameter");
        }
        Ok(optimizer)
    }

    /// The rule's name.
    pub(crate) fn algorithm(&self) -> &'static str {
        self.recipe.optimizer.name()
    }

    /// Steps taken, over all rounds.
    pub(crate) fn step(&self) -> u64 {
        self.step
    }

    /// Adds the state to what is written, as `BUFFER.PARAMETER` of PyTorch's names behind
    /// `prefix`. It is lent: Adam's is twice as large as the parameters.
    ///
    /// # Errors
    ///
    /// If it cannot be copied from a GPU.
    pub(crate) fn lend<'a>(
        &'a self,
        prefix: &str,
        values: &mut Values<'a>,
    ) -> candle_core::Result<()> {
        for (name, state) in &self.state {
            for (buffer, moment) in self.buffers().iter().zip(state) {
                values.insert(format!("{prefix}{buffer}.{name}"), moment)?;
            }
        }
        Ok(())
    }

    /// Takes one step along the gradients, or has a GPU take it; parameters without one stay.
    /// Whether they stay finite is told later.
    ///
    /// # Errors
    ///
    /// If gradients or parameters cannot be read.
    pub(crate) fn update(
        &mut self,
        parameters: &BTreeMap<String, Var>,
        gradients: &Gradients,
        rate: f64,
    ) -> anyhow::Result<Finite> {
        self.step += 1;
        let rule = self.rule(rate);
        let (mut names, mut updates) = (Vec::new(), Vec::new());
        for (name, var) in parameters {
            let Some(gradient) = gradients.get(var.as_tensor()) else { continue };
            let moments = self.state.get(name).context("a parameter came later")?;
            names.push(name.clone());
            updates.push(Update { parameter: var.as_tensor(), gradient, moments });
        }
        Ok(Finite { names, later: ops::optimizer::update(rule, &updates)? })
    }

    fn rule(&self, rate: f64) -> Rule {
        let Recipe { weight_decay, optimizer, .. } = self.recipe;
        match optimizer {
            Algorithm::Adam => Rule::adam(self.step, rate, weight_decay),
            Algorithm::Sgd => Rule::sgd(rate, self.recipe.momentum(), weight_decay),
        }
    }

    /// What is kept for each parameter, by PyTorch's names.
    fn buffers(&self) -> &'static [&'static str] {
        match self.recipe.optimizer {
            Algorithm::Adam => &["exp_avg", "exp_avg_sq"],
            Algorithm::Sgd if self.recipe.momentum() > 0.0 => &["momentum_buffer"],
            Algorithm::Sgd => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use artifact::{OptimizerFile, OptimizerState};
    use candle_core::Device;
    use ops::Node;

    use super::*;

    fn recipe(optimizer: Algorithm) -> Recipe {
        Recipe {
            batch_size: 1,
            optimizer,
            learning_rate: 0.1,
            momentum: None,
            weight_decay: 0.0,
            decay_every: 0,
            decay_factor: 1.0,
            loss: crate::args::LossName::CrossEntropy,
            gamma: None,
            normalize: crate::args::Normalize::Mean,
        }
    }

    fn parameters() -> BTreeMap<String, Var> {
        let var = Var::new(&[3f32, -1.0], &Device::Cpu).unwrap();
        BTreeMap::from([("layer.weight".to_owned(), var)])
    }

    /// A gradient of every parameter: `scale` times the parameter itself.
    fn gradients(parameters: &BTreeMap<String, Var>, scale: f64) -> Gradients {
        let var = &parameters["layer.weight"];
        Node::from(var).backward(&(var.as_tensor() * scale).unwrap()).unwrap()
    }

    /// The state as it is read again.
    fn written(optimizer: &Optimizer) -> BTreeMap<String, Tensor> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("optimizer.safetensors");
        let mut values = Values::default();
        optimizer.lend("", &mut values).unwrap();
        let (algorithm, step) = (optimizer.algorithm().into(), optimizer.step());
        let state = OptimizerState { algorithm, step, epoch: 1, learning_rate: 0.1 };
        state.write(&path, &values, None).unwrap();
        OptimizerFile::read(&path).unwrap().tensors
    }

    /// One step on the loss Σθ².
    fn step(optimizer: &mut Optimizer, parameters: &BTreeMap<String, Var>) {
        let finite = optimizer.update(parameters, &gradients(parameters, 2.0), 0.1);
        finite.unwrap().check().unwrap();
    }

    #[test]
    fn a_restored_state_goes_on_as_if_nothing_had_happened() {
        for algorithm in [Algorithm::Adam, Algorithm::Sgd] {
            let (through, halted) = (parameters(), parameters());
            let mut optimizer = Optimizer::new(recipe(algorithm), &through).unwrap();
            step(&mut optimizer, &through);
            step(&mut optimizer, &through);

            let mut first = Optimizer::new(recipe(algorithm), &halted).unwrap();
            step(&mut first, &halted);
            let tensors = written(&first);
            let mut second =
                Optimizer::restore(recipe(algorithm), &halted, 1, &tensors).unwrap();
            step(&mut second, &halted);

            let value =
                |p: &BTreeMap<String, Var>| p["layer.weight"].to_vec1::<f32>().unwrap();
            assert_eq!(value(&through), value(&halted));
            assert_ne!(value(&through), [3.0, -1.0]);
        }
    }

    #[test]
    fn a_state_of_another_rule_or_network_is_refused() {
        let parameters = parameters();
        let optimizer = Optimizer::new(recipe(Algorithm::Adam), &parameters).unwrap();
        let tensors = written(&optimizer);
        let restore = |algorithm, tensors| {
            Optimizer::restore(recipe(algorithm), &parameters, 1, tensors).err().unwrap()
        };
        let error = restore(Algorithm::Sgd, &tensors).to_string();
        assert!(error.contains("no tensor `momentum_buffer.layer.weight`"), "{error}");

        let mut more = tensors.clone();
        more.insert("exp_avg.other".into(), tensors["exp_avg.layer.weight"].clone());
        let error = restore(Algorithm::Adam, &more).to_string();
        assert!(error.contains("`exp_avg.other`"), "{error}");
    }

    #[test]
    fn a_parameter_that_is_no_number_any_more_is_named() {
        let parameters = parameters();
        let mut optimizer = Optimizer::new(recipe(Algorithm::Sgd), &parameters).unwrap();
        let gradients = gradients(&parameters, 1e30);
        let finite = optimizer.update(&parameters, &gradients, 1e30).unwrap();
        let error = finite.check().unwrap_err();
        assert!(error.to_string().contains("layer.weight"), "{error}");
    }
}
