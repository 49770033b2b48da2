use std::{fmt, str::FromStr};

use crate::{Error, Result};

/// A network's architecture, by torchvision's name.
///
/// ```
/// use models::Arch;
///
/// let arch: Arch = "mobilenetv2".parse()?;
/// assert_eq!(arch.to_string(), "mobilenet_v2");
/// assert_eq!(arch.default_tap(), "features.18");
/// # Ok::<(), models::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// VGG-16, configuration D of Simonyan and Zisserman 2015.
    Vgg16,
    /// VGG-16 with batch normalisation after each convolution.
    Vgg16Bn,
    /// ResNet-18, He et al. 2015.
    Resnet18,
    /// ResNet-34, He et al. 2015.
    Resnet34,
    /// ResNet-50 with the stride on the 3×3 convolution, as torchvision ("V1.5").
    Resnet50,
    /// MobileNetV2 of width 1, Sandler et al. 2018.
    MobilenetV2,
    /// ResNet-20 for small images, He et al. 2015 section 4.2, with projection shortcuts
    /// ("option B") where the paper's CIFAR networks pad with zeros ("option A").
    Resnet20,
}

impl Arch {
    /// All architectures.
    pub const ALL: [Self; 7] = [
        Self::Vgg16,
        Self::Vgg16Bn,
        Self::Resnet18,
        Self::Resnet34,
        Self::Resnet50,
        Self::MobilenetV2,
        Self::Resnet20,
    ];

    /// The tap that explanations use unless told otherwise: the last one before pooling.
    pub fn default_tap(self) -> &'static str {
        match self {
            Self::Vgg16 => "features.29",
            Self::Vgg16Bn => "features.42",
            Self::Resnet18 | Self::Resnet34 | Self::Resnet50 => "layer4",
            Self::MobilenetV2 => "features.18",
            Self::Resnet20 => "layer3",
        }
    }

    /// torchvision's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vgg16 => "vgg16",
            Self::Vgg16Bn => "vgg16_bn",
            Self::Resnet18 => "resnet18",
            Self::Resnet34 => "resnet34",
            Self::Resnet50 => "resnet50",
            Self::MobilenetV2 => "mobilenet_v2",
            Self::Resnet20 => "resnet20",
        }
    }

    /// The linear layer whose width is the number of classes.
    pub(crate) fn classifier(self) -> &'static str {
        match self {
            Self::Vgg16 | Self::Vgg16Bn => "classifier.6",
            Self::MobilenetV2 => "classifier.1",
            Self::Resnet18 | Self::Resnet34 | Self::Resnet50 | Self::Resnet20 => "fc",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Arch {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let name = if name == "mobilenetv2" { "mobilenet_v2" } else { name };
        let found = Self::ALL.into_iter().find(|arch| arch.name() == name);
        found.ok_or_else(|| Error::UnknownArch {
            found: name.to_owned(),
            expected: Self::ALL.map(Self::name).join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for arch in Arch::ALL {
            assert_eq!(arch.to_string().parse::<Arch>().unwrap(), arch);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known() {
        let error = "alexnet".parse::<Arch>().unwrap_err().to_string();
        assert!(error.contains("alexnet") && error.contains("resnet50"), "{error}");
    }
}
