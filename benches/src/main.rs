//! Times one piece of work again and again: for the scripts beside it, which let others do the
//! same in turn.
//!
//! Each line of the standard input asks for one repetition, and is answered by its seconds.

mod place;
mod step;

use std::{fs, hint::black_box, num::NonZeroUsize, path::PathBuf};

use anyhow::Result;
use candle_core::{Device, Tensor};
use clap::{Args, Parser};
use explain::Target;
use models::{Arch, Mode, Network, Normalization};
use ops::{Conv2d, Node};
use rayon::prelude::*;

use place::Place;

#[derive(Debug, Parser)]
enum Work {
    /// A step of training with Adam, on a GPU
    Step(Whole),
    /// Logits in evaluation mode
    Forward(Whole),
    /// The signs of the gradient of the pixels
    Fgsm(Whole),
    /// Maps of the predicted classes, in the size of the images
    Explain {
        #[command(flatten)]
        whole: Whole,
        #[arg(long)]
        explainer: String,
    },
    /// A convolution, forward
    Conv(Shape),
    /// The gradients of a convolution's input and weights
    ConvBackward(Shape),
    /// The images in the folders of a folder, decoded on all cores
    Decode { folder: PathBuf },
}

/// Images or activations in a pass of methods that need many, as pytorch-grad-cam's Ablation-CAM.
const AT_A_TIME: NonZeroUsize = NonZeroUsize::new(32).expect("not zero");

#[derive(Args, Debug)]
struct Whole {
    #[arg(long)]
    arch: Arch,
    #[arg(long)]
    size: usize,
    #[arg(long)]
    batch: usize,
    #[arg(long, default_value_t = 10)]
    classes: usize,
    #[command(flatten)]
    place: Place,
}

#[derive(Args, Debug)]
struct Shape {
    #[arg(long)]
    batch: usize,
    #[arg(long)]
    channels: usize,
    #[arg(long)]
    size: usize,
    #[arg(long)]
    outputs: usize,
    #[arg(long)]
    kernel: usize,
    #[arg(long)]
    stride: usize,
    #[arg(long)]
    groups: usize,
    #[command(flatten)]
    place: Place,
}

#[global_allocator]
static MEMORY: ops::memory::Kept = ops::memory::Kept::new();

fn main() -> Result<()> {
    ops::threads::run(run)
}

fn run() -> Result<()> {
    match Work::parse() {
        Work::Step(whole) => step::repeat(&whole),
        Work::Forward(whole) => {
            let (network, images) = whole.open()?;
            let images = Node::from(&images);
            whole.place.repeat(|| Ok(network.forward(&images, Mode::Eval)?))
        }
        Work::Fgsm(whole) => {
            let (network, images) = whole.open()?;
            let labels = whole.labels();
            let target = attack::Target::Single(&labels);
            whole.place.repeat(|| Ok(attack::fgsm(&network, &images, target)?))
        }
        Work::Explain { whole, explainer } => {
            let (network, images) = whole.open()?;
            let tap = network.resolve_tap(None)?;
            let explainer = explain::by_name(&explainer, None, AT_A_TIME)?;
            whole.place.repeat(|| {
                let explainer = explainer.as_ref();
                let found = explain::explain(
                    &network,
                    explainer,
                    &tap,
                    &images,
                    Target::Predicted,
                )?;
                let size = (whole.size, whole.size);
                let native = (found.height, found.width);
                let sized = |i| explain::full_size(found.map(i), native, size);
                Ok((0..whole.batch).map(sized).collect::<Vec<_>>())
            })
        }
        Work::Conv(shape) => {
            let (x, w, conv) = shape.open()?;
            let (x, w) = (Node::from(&x), Node::from(&w));
            shape.place.repeat(|| Ok(ops::conv2d(&x, &w, None, conv)?))
        }
        Work::ConvBackward(shape) => {
            let (x, w, conv) = shape.open()?;
            let y = ops::conv2d(&Node::variable(&x), &Node::variable(&w), None, conv)?;
            let dy = y.tensor().clone();
            shape.place.repeat(|| Ok(y.clone().backward(&dy)?))
        }
        Work::Decode { folder } => {
            let mut files = Vec::new();
            for class in fs::read_dir(folder)? {
                for file in fs::read_dir(class?.path())? {
                    files.push(file?.path());
                }
            }
            Place::default().repeat(|| {
                files.par_iter().try_for_each(|file| {
                    black_box(image::open(file)?.into_rgb8());
                    Ok(())
                })
            })
        }
    }
}

fn random(shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::rand(0f32, 1.0, shape, &Device::Cpu)?)
}

impl Whole {
    fn open(&self) -> Result<(Network, Tensor)> {
        let device = self.place.open()?;
        let network = Network::new(self.arch, self.classes, Normalization::IMAGENET, 0)?;
        let images = random(&[self.batch, 3, self.size, self.size])?;
        Ok((network.to_device(&device)?, images.to_device(&device)?))
    }

    fn labels(&self) -> Vec<i64> {
        (0..self.batch).map(|i| (i % self.classes) as i64).collect()
    }
}

impl Shape {
    fn open(&self) -> Result<(Tensor, Tensor, Conv2d)> {
        let device = self.place.open()?;
        let padding = (self.kernel - 1) / 2;
        let conv = Conv2d {
            stride: (self.stride, self.stride),
            padding: (padding, padding),
            groups: self.groups,
            ..Conv2d::default()
        };
        // with the channels last, as every operator leaves its result
        let x = random(&[self.batch, self.size, self.size, self.channels])?;
        let x = x.to_device(&device)?.permute((0, 3, 1, 2))?;
        let inputs = self.channels / self.groups;
        let w = random(&[self.outputs, inputs, self.kernel, self.kernel])?;
        Ok((x, w.to_device(&device)?, conv))
    }
}
