//! One piece of work on the CPU and on the GPU.

use candle_core::{DType, Device, Result, Tensor};
use ops::{Node, Precision};

use crate::common::uniform;

/// How far a result of the GPU may be from that of the CPU.
#[derive(Clone, Copy)]
enum Tolerance {
    /// Every value, as a share of the largest.
    Each(f64),
    /// All values together, as a share of their norm: where rounding may carry some across the
    /// kink of an activation.
    Together(f64),
}

/// What was compared in one precision.
pub(crate) struct Comparison {
    gpu: Device,
    precision: Precision,
    wrong: Vec<String>,
}

/// Result and gradients, where there are any, in the order of the arguments.
type Values = Vec<Option<Vec<f32>>>;

/// What is compared: a function of activations, which a GPU may have in bf16, and parameters.
type Work<'a> = dyn Fn(&[Node], &[Node]) -> Result<Node> + 'a;

impl Comparison {
    pub(crate) fn open(precision: Precision) -> Self {
        let gpu = ops::gpu(precision)
            .unwrap_or_else(|error| panic!("this test wants a GPU: {error}"));
        Self { gpu, precision, wrong: Vec::new() }
    }

    /// Compares result and gradients; on the GPU, those of two runs bit by bit as well.
    pub(crate) fn case(
        &mut self,
        name: &str,
        activations: &[Tensor],
        parameters: &[Tensor],
        f: impl Fn(&[Node], &[Node]) -> Result<Node>,
    ) {
        let tolerance = Tolerance::Each(match self.precision {
            Precision::F32 => 1e-5,
            Precision::Tf32 => 2e-3,
            Precision::Bf16 => 2e-2,
        });
        self.compare(name, tolerance, None, activations, parameters, &f);
    }

    /// Compares what is the same in f32, bit by bit.
    pub(crate) fn exact(
        &mut self,
        name: &str,
        activations: &[Tensor],
        f: impl Fn(&[Node], &[Node]) -> Result<Node>,
    ) {
        let share = if self.precision == Precision::Bf16 { 5e-3 } else { 0.0 };
        self.compare(name, Tolerance::Each(share), None, activations, &[], &f);
    }

    /// Compares many layers, and the way back for some rows of the batch if `rows` says so.
    pub(crate) fn chain(
        &mut self,
        name: &str,
        rows: Option<&[u32]>,
        activations: &[Tensor],
        parameters: &[Tensor],
        f: impl Fn(&[Node], &[Node]) -> Result<Node>,
    ) {
        let tolerance = Tolerance::Together(match self.precision {
            Precision::F32 => 5e-3,
            Precision::Tf32 => 0.1,
            Precision::Bf16 => 0.4,
        });
        self.compare(name, tolerance, rows, activations, parameters, &f);
    }

    /// # Panics
    ///
    /// If something was wrong, with all of it.
    pub(crate) fn end(self) {
        assert!(self.wrong.is_empty(), "{:?}:\n{}", self.precision, self.wrong.join("\n"));
    }

    fn compare(
        &mut self,
        name: &str,
        tolerance: Tolerance,
        rows: Option<&[u32]>,
        activations: &[Tensor],
        parameters: &[Tensor],
        f: &Work<'_>,
    ) {
        let on = |device: &Device| self.run(device, rows, activations, parameters, f);
        let found = on(&Device::Cpu).and_then(|cpu| {
            let gpu = on(&self.gpu)?;
            Ok((cpu, on(&self.gpu)?, gpu))
        });
        let (cpu, again, gpu) = match found {
            Ok(found) => found,
            Err(error) => return self.wrong.push(format!("{name}: {error}")),
        };
        if bits(&gpu) != bits(&again) {
            self.wrong.push(format!("{name}: a second run finds something else"));
        }
        let mut apart = Vec::new();
        for (i, (cpu, gpu)) in cpu.iter().zip(&gpu).enumerate() {
            let what = if i == 0 { "result".to_owned() } else { format!("gradient {i}") };
            match (cpu, gpu) {
                (None, None) => {}
                (Some(cpu), Some(gpu)) if cpu.len() == gpu.len() => {
                    let distance = tolerance.distance(gpu, cpu);
                    if distance.is_nan() || distance > tolerance.share() {
                        self.wrong.push(format!("{name}, {what}: {distance:.1e} apart"));
                    }
                    apart.push(format!("{what} {distance:.1e}"));
                }
                _ => self.wrong.push(format!("{name}, {what}: there on one device alone")),
            }
        }
        println!("{:?} {name}: {}", self.precision, apart.join(", "));
    }

    fn run(
        &self,
        device: &Device,
        rows: Option<&[u32]>,
        activations: &[Tensor],
        parameters: &[Tensor],
        f: &Work<'_>,
    ) -> Result<Values> {
        let round = |x: &Tensor| self.place(x, device);
        let activations: Vec<Tensor> =
            activations.iter().map(round).collect::<Result<_>>()?;
        let place = |x: &Tensor| x.to_device(device);
        let parameters: Vec<Tensor> =
            parameters.iter().map(place).collect::<Result<_>>()?;
        let nodes = |x: &[Tensor]| x.iter().map(Node::variable).collect::<Vec<_>>();
        let y = f(&nodes(&activations), &nodes(&parameters))?;
        let mut values = vec![Some(ops::host(&y)?)];
        let mut dims = y.dims().to_vec();
        dims[0] = rows.map_or(dims[0], <[u32]>::len);
        // the same on both, whatever type the result is of
        let dy = uniform(&dims, 9).to_dtype(DType::BF16)?.to_dtype(y.dtype())?;
        let dy = channels_last(&dy, |dy| dy.to_device(device))?;
        let gradients = match rows {
            None => y.backward(&dy)?,
            Some(rows) => y.backward_rows(rows, &dy)?,
        };
        for x in activations.iter().chain(&parameters) {
            values.push(gradients.get(x).map(ops::host).transpose()?);
        }
        Ok(values)
    }

    /// An activation on a device, of the same values on both.
    fn place(&self, x: &Tensor, device: &Device) -> Result<Tensor> {
        channels_last(x, |x| match (self.precision, device) {
            (Precision::Bf16, Device::Cpu) => x.to_dtype(DType::BF16)?.to_dtype(DType::F32),
            (Precision::Bf16, _) => x.to_dtype(DType::BF16)?.to_device(device),
            _ => x.to_device(device),
        })
    }
}

impl Tolerance {
    fn share(self) -> f64 {
        match self {
            Self::Each(share) | Self::Together(share) => share,
        }
    }

    fn distance(self, found: &[f32], expected: &[f32]) -> f64 {
        let differences =
            found.iter().zip(expected).map(|(f, e)| f64::from(*f) - f64::from(*e));
        let expected = expected.iter().copied().map(f64::from);
        match self {
            Self::Each(_) => {
                largest(differences) / largest(expected).max(f64::MIN_POSITIVE)
            }
            Self::Together(_) => norm(differences) / norm(expected).max(f64::MIN_POSITIVE),
        }
    }
}

/// NaN if one value is.
fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |largest, value| {
        if value.is_nan() {
            value
        } else if largest.is_nan() {
            largest
        } else {
            largest.max(value.abs())
        }
    })
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

fn bits(values: &Values) -> Vec<Option<Vec<u32>>> {
    let of = |values: &Vec<f32>| values.iter().map(|value| value.to_bits()).collect();
    values.iter().map(|values| values.as_ref().map(of)).collect()
}

/// What `f` makes of a tensor, whose channels lie last in memory if it has four dimensions.
fn channels_last(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    if x.rank() != 4 {
        return f(x);
    }
    f(&x.permute((0, 2, 3, 1))?.contiguous()?)?.permute((0, 3, 1, 2))
}
