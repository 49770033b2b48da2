//! A step with all parameters at once, on a GPU.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var};
use ops::{
    Gradients, Later,
    optimizer::{Rule, Update},
};

use super::{Finite, Moment, Step, adam};
use crate::args::{Algorithm, Recipe};

/// Takes the step; parameters without a gradient stay.
pub(super) fn update(
    recipe: &Recipe,
    step: Step,
    parameters: &BTreeMap<String, Var>,
    gradients: &Gradients,
    state: &BTreeMap<String, Vec<Moment>>,
) -> Result<Finite> {
    let mut names = Vec::new();
    let mut moved = Vec::new();
    for (name, var) in parameters {
        let Some(gradient) = gradients.get(var.as_tensor()) else { continue };
        let there = |moment: &Moment| match moment {
            Moment::There(moment) => Some(moment.clone()),
            Moment::Here(_) => None,
        };
        let moments: Vec<Tensor> = state[name].iter().filter_map(there).collect();
        names.push(name.clone());
        moved.push((var.as_tensor(), gradient, moments));
    }
    let updates: Vec<Update<'_>> = moved
        .iter()
        .map(|&(parameter, gradient, ref moments)| Update { parameter, gradient, moments })
        .collect();
    let later: Later = ops::optimizer::update(rule(recipe, step), &updates)?;
    Ok(Finite { names, later })
}

/// The rule with the numbers of the step, rounded as the processor's.
fn rule(recipe: &Recipe, step: Step) -> Rule {
    let (rate, weight_decay) = (step.rate as f32, step.weight_decay as f32);
    let momentum = recipe.momentum();
    match recipe.optimizer {
        Algorithm::Adam => adam::Numbers::of(step).rule(),
        Algorithm::Sgd if momentum > 0.0 => {
            Rule::Momentum { rate, momentum: momentum as f32, weight_decay }
        }
        Algorithm::Sgd => Rule::Sgd { rate, weight_decay },
    }
}
