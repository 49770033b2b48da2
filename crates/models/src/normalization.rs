/// The first layer of a network: (x − mean) / std for each colour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalization {
    /// Mean of each colour over \[0, 1\] pixels.
    pub mean: [f32; 3],
    /// Its standard deviation.
    pub std: [f32; 3],
}

impl Normalization {
    /// Of `ImageNet`'s training images, which torchvision's weights expect.
    pub const IMAGENET: Self =
        Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
}
