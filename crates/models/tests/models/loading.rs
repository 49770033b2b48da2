//! Checkpoints fit exactly or are refused with the names of what does not.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use models::{Arch, Error, Head, Keys, Mode, Network};

use crate::formula::{self, CLASSES, NORM};

const ARCH: Arch = Arch::Resnet20;

fn load(tensors: &BTreeMap<String, Tensor>, head: Head) -> models::Result<Network> {
    Network::load(ARCH, CLASSES, NORM, tensors, head)
}

fn misfit(tensors: &BTreeMap<String, Tensor>) -> Keys {
    match load(tensors, Head::Keep) {
        Err(Error::Keys { keys, .. }) => keys,
        other => panic!("{other:?}"),
    }
}

fn bits(tensors: &BTreeMap<String, Tensor>) -> BTreeMap<String, Vec<f64>> {
    let widen = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1();
    tensors.iter().map(|(name, t)| (name.clone(), widen(t).unwrap())).collect()
}

#[test]
fn the_state_has_the_keys_and_shapes_of_torchvision() {
    for arch in Arch::ALL {
        let state = Network::new(arch, CLASSES, NORM, 0).unwrap().state().unwrap();
        let found: BTreeMap<_, _> =
            state.iter().map(|(name, t)| (name.clone(), t.dims().to_vec())).collect();
        assert_eq!(found, formula::keys(arch.name()), "{arch}");
        for (name, tensor) in state {
            let counts = name.ends_with("num_batches_tracked");
            let dtype = if counts { DType::I64 } else { DType::F32 };
            assert_eq!(tensor.dtype(), dtype, "{name}");
        }
    }
}

#[test]
fn what_is_loaded_is_the_state() {
    let tensors = formula::checkpoint("resnet20");
    let net = load(&tensors, Head::Keep).unwrap();
    assert_eq!(bits(&net.state().unwrap()), bits(&tensors));
}

#[test]
fn the_state_is_the_memory_that_training_changes() {
    let net = Network::new(ARCH, CLASSES, NORM, 0).unwrap();
    let state = net.state().unwrap();
    let bias = &net.parameters()["fc.bias"];
    bias.set(&bias.ones_like().unwrap()).unwrap();
    assert_eq!(state["fc.bias"].to_vec1::<f32>().unwrap(), [1.0; 10]);
}

#[test]
fn loading_the_variables_of_another_network_copies_them() {
    let one = Network::new(ARCH, CLASSES, NORM, 0).unwrap();
    let mut tensors = one.state().unwrap();
    for (name, var) in one.parameters() {
        tensors.insert(name.clone(), var.as_tensor().clone());
    }
    let other = load(&tensors, Head::Keep).unwrap();
    let bias = &one.parameters()["fc.bias"];
    bias.set(&bias.ones_like().unwrap()).unwrap();
    assert_ne!(other.parameters()["fc.bias"].to_vec1::<f32>().unwrap(), [1.0; 10]);
}

#[test]
fn unfilled_and_unused_keys_are_named() {
    let mut tensors = formula::checkpoint("resnet20");
    let moved = tensors.remove("layer2.0.conv1.weight").unwrap();
    tensors.insert("module.layer2.0.conv1.weight".to_owned(), moved);
    let keys = misfit(&tensors);
    assert_eq!(keys.unfilled, ["layer2.0.conv1.weight"]);
    assert_eq!(keys.unused, ["module.layer2.0.conv1.weight"]);
    assert!(keys.wrong.is_empty());
    let message = load(&tensors, Head::Keep).unwrap_err().to_string();
    assert_eq!(
        message,
        "not a checkpoint of resnet20 with 10 classes: unfilled: layer2.0.conv1.weight; \
         unused: module.layer2.0.conv1.weight"
    );
}

#[test]
fn running_statistics_are_not_optional_but_their_counters_are() {
    let mut tensors = formula::checkpoint("resnet20");
    tensors.retain(|name, _| !name.ends_with("num_batches_tracked"));
    let state = load(&tensors, Head::Keep).unwrap().state().unwrap();
    assert_eq!(state["bn1.num_batches_tracked"].to_scalar::<i64>().unwrap(), 0);
    tensors.remove("bn1.running_mean");
    assert_eq!(misfit(&tensors).unfilled, ["bn1.running_mean"]);
}

#[test]
fn a_head_of_other_classes_is_refused_or_replaced() {
    let mut tensors = formula::checkpoint("resnet20");
    let weight = Tensor::zeros((7, 64), DType::F32, &candle_core::Device::Cpu).unwrap();
    tensors.insert("fc.weight".to_owned(), weight);
    assert_eq!(misfit(&tensors).wrong, ["fc.weight expected [10, 64] found [7, 64]"]);

    let seed = 5;
    let net = load(&tensors, Head::Fresh { seed }).unwrap();
    let drawn = Network::new(ARCH, CLASSES, NORM, seed).unwrap();
    let (found, drawn) = (bits(&net.state().unwrap()), bits(&drawn.state().unwrap()));
    assert_eq!(found["fc.weight"], drawn["fc.weight"]);
    assert_eq!(found["fc.bias"], drawn["fc.bias"]);
    assert_eq!(found["conv1.weight"], bits(&tensors)["conv1.weight"]);

    tensors.retain(|name, _| !name.starts_with("fc."));
    assert!(load(&tensors, Head::Fresh { seed }).is_ok());
    assert_eq!(misfit(&tensors).unfilled, ["fc.weight", "fc.bias"]);
}

#[test]
fn half_precision_is_widened_and_integers_are_refused() {
    let mut tensors = formula::checkpoint("resnet20");
    let bias = tensors["fc.bias"].clone();
    tensors.insert("fc.bias".to_owned(), bias.to_dtype(DType::BF16).unwrap());
    let net = load(&tensors, Head::Keep).unwrap();
    assert_eq!(net.parameters()["fc.bias"].dtype(), DType::F32);
    tensors.insert("fc.bias".to_owned(), bias.to_dtype(DType::U8).unwrap());
    assert_eq!(misfit(&tensors).wrong, ["fc.bias expected [10] found [10] of integers"]);
}

#[test]
fn one_tensor_under_the_names_of_both_is_unused_once() {
    let mut tensors = formula::checkpoint("timm.mobilenetv2_100");
    let stem = tensors["conv_stem.weight"].clone();
    tensors.insert("features.0.0.weight".to_owned(), stem);
    let loaded = Network::load(Arch::MobilenetV2, CLASSES, NORM, &tensors, Head::Keep);
    let Err(Error::Keys { keys, .. }) = loaded else { panic!("{loaded:?}") };
    assert_eq!(keys.unused.len(), 1);
    assert!(keys.unfilled.is_empty());
}

#[test]
fn a_loaded_network_computes_what_the_saved_one_did() {
    let net = Network::new(Arch::MobilenetV2, CLASSES, NORM, 1).unwrap();
    let x = formula::pixels(2, 64, 64);
    net.forward(&x, Mode::Train { dropout_seed: 0 }).unwrap();
    let state = net.state().unwrap();
    let again =
        Network::load(Arch::MobilenetV2, CLASSES, NORM, &state, Head::Keep).unwrap();
    let logits =
        |net: &Network| net.forward(&x, Mode::Eval).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(logits(&net), logits(&again));
}
