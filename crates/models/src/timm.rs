//! Names in timm's checkpoints where they differ from torchvision's.
//!
//! | timm's model      | its name                  | ours                                |
//! |-------------------|---------------------------|-------------------------------------|
//! | `resnet18/34/50`  | all                       | the same                            |
//! | `vgg16`, `_bn`    | `pre_logits.fc1`, `.fc2`  | `classifier.0`, `.3`, as matrices   |
//! |                   | `head.fc`                 | `classifier.6`                      |
//! | `mobilenetv2_100` | `conv_stem`, `bn1`        | `features.0.0`, `.1`                |
//! |                   | `blocks.S.B`              | `features.K`, counted through       |
//! |                   | `conv_head`, `bn2`        | `features.18.0`, `.1`               |
//! |                   | `classifier`              | `classifier.1`                      |
//!
//! timm's VGG slides its linear layers over features larger than 7×7 where torchvision's
//! pools; at 224×224 the two agree.

use std::collections::BTreeMap;

use crate::Arch;

/// Does a checkpoint with these keys use timm's names?
pub(crate) fn wrote<T>(arch: Arch, tensors: &BTreeMap<String, T>) -> bool {
    match arch {
        Arch::Vgg16 | Arch::Vgg16Bn => tensors.contains_key("pre_logits.fc1.weight"),
        Arch::MobilenetV2 => tensors.contains_key("conv_stem.weight"),
        _ => false,
    }
}

/// Our name of timm's tensor `key`, if it is another one.
pub(crate) fn rename(arch: Arch, key: &str) -> Option<String> {
    let (module, leaf) = key.rsplit_once('.')?;
    let ours = match arch {
        Arch::Vgg16 | Arch::Vgg16Bn => vgg(module)?.to_owned(),
        Arch::MobilenetV2 => mobilenet(module)?,
        _ => return None,
    };
    Some(format!("{ours}.{leaf}"))
}

fn vgg(module: &str) -> Option<&'static str> {
    match module {
        "pre_logits.fc1" => Some("classifier.0"),
        "pre_logits.fc2" => Some("classifier.3"),
        "head.fc" => Some("classifier.6"),
        _ => None,
    }
}

/// The block of torchvision's `features` that each of timm's stages starts with.
const FIRST: [usize; 7] = [1, 2, 4, 7, 11, 14, 17];

fn mobilenet(module: &str) -> Option<String> {
    let simple = match module {
        "conv_stem" => "features.0.0",
        "bn1" => "features.0.1",
        "conv_head" => "features.18.0",
        "bn2" => "features.18.1",
        "classifier" => "classifier.1",
        _ => "",
    };
    if !simple.is_empty() {
        return Some(simple.to_owned());
    }
    let mut parts = module.strip_prefix("blocks.")?.split('.');
    let stage: usize = parts.next()?.parse().ok()?;
    let block: usize = parts.next()?.parse().ok()?;
    let layer = match (stage, parts.next()?) {
        // the first block does not expand
        (0, "conv_dw") | (1.., "conv_pw") => "0.0",
        (_, "bn1") => "0.1",
        (0, "conv_pw") => "1",
        (0, "bn2") | (1.., "conv_pwl") => "2",
        (1.., "conv_dw") => "1.0",
        (1.., "bn2") => "1.1",
        (1.., "bn3") => "3",
        _ => return None,
    };
    Some(format!("features.{}.conv.{layer}", FIRST.get(stage)? + block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_through() {
        let ours = |key| rename(Arch::MobilenetV2, key);
        assert_eq!(
            ours("blocks.0.0.bn2.weight").as_deref(),
            Some("features.1.conv.2.weight")
        );
        assert_eq!(
            ours("blocks.2.1.conv_dw.weight").as_deref(),
            Some("features.5.conv.1.0.weight")
        );
        assert_eq!(
            ours("blocks.6.0.bn3.running_var").as_deref(),
            Some("features.17.conv.3.running_var")
        );
        assert_eq!(ours("blocks.7.0.bn3.bias"), None);
        assert_eq!(ours("features.0.0.weight"), None);
    }
}
