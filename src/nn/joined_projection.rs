//! Several fully connected layers of one input.

use candle_core::{D, Tensor};

use super::projection::{PassingProjection, Projection};
use crate::error::Result;
use crate::ops::gemm::Epilogue;
use crate::weights::store::{Scope, Weight};

/// `COUNT` times `[..., from] -> [..., to]`, all of one input, in its type.
///
/// On CUDA, and wherever weights are carried, those that are plain tensors are joined and multiplied at once: the input is read once, and there are as many times more tiles to keep all
/// multiprocessors busy. Elsewhere, and in other forms, each is multiplied by itself, as by [`Projection`].
#[derive(Debug)]
pub struct JoinedProjection<'data, const COUNT: usize>(Layers<'data, COUNT>);

#[derive(Debug)]
enum Layers<'data, const COUNT: usize> {
    /// One layer whose outputs are those of all, one after the other; `to` are each one's.
    Joined { whole: Dense, to: usize },
    /// Each by itself.
    Separate([PassingProjection<'data>; COUNT]),
}

/// A layer on a device other than the CPU.
#[derive(Debug)]
struct Dense {
    /// `[COUNT * to, from]`.
    weight: Tensor,
    /// `[COUNT * to]`.
    bias: Option<Tensor>,
}

impl Dense {
    fn joined(weights: &[Tensor], biases: Option<&[Tensor]>) -> Result<Self> {
        let bias = biases.map(|biases| Tensor::cat(biases, 0)).transpose()?;
        Ok(Self { weight: Tensor::cat(weights, 0)?, bias })
    }

    fn projection(&self) -> Projection {
        Projection::dense(self.weight.clone(), self.bias.clone())
    }

    /// Only outputs from `start` on.
    fn part(&self, start: usize, length: usize) -> Result<Projection> {
        let bias = self.bias.as_ref().map(|bias| bias.narrow(0, start, length)).transpose()?;
        Ok(Projection::dense(self.weight.narrow(0, start, length)?, bias))
    }
}

impl<const COUNT: usize> JoinedProjection<'static, COUNT> {
    /// The layers of these names, each with `weight: [to, from]` and no bias.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope<'_>, names: [&str; COUNT], from: usize, to: usize) -> Result<Self> {
        Self::kept(weights, names, [to, from], None)
    }

    /// The same, each with `bias: [to]` too.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load_with_bias(weights: &Scope<'_>, names: [&str; COUNT], from: usize, to: usize) -> Result<Self> {
        let biases = all(names, |name| weights.at(name).take("bias", &[to]))?;
        Self::kept(weights, names, [to, from], Some(biases))
    }

    fn kept(
        weights: &Scope<'_>,
        names: [&str; COUNT],
        shape: [usize; 2],
        biases: Option<[Tensor; COUNT]>,
    ) -> Result<Self> {
        let device = &weights.placement().device;
        if let Some(weight) = weights.take_carried(&names.map(|name| format!("{name}.weight")), shape)? {
            let bias = biases.map(|biases| Tensor::cat(&biases, 0)).transpose()?;
            return Ok(Self(Layers::Joined { whole: Dense { weight, bias }, to: shape[0] }));
        }
        let taken = all(names, |name| weights.at(name).take_weight("weight", &shape))?;
        if let Some(dense) = device.is_cuda().then(|| dense(&taken)).flatten() {
            let whole = Dense::joined(&dense, biases.as_ref().map(<[Tensor; COUNT]>::as_slice))?;
            return Ok(Self(Layers::Joined { whole, to: shape[0] }));
        }
        let mut biases = biases.into_iter().flatten();
        let layer =
            |weight| Ok(PassingProjection::Kept(Projection::kept(weight, shape, biases.next(), device.is_cpu())?));
        Ok(Self(Layers::Separate(all(taken, layer)?)))
    }
}

impl<'data, const COUNT: usize> JoinedProjection<'data, COUNT> {
    /// The layers of these names, each with `weight: [to, from]` and no bias, for weights that are used once: see [`PassingProjection`].
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load_passing(weights: &Scope<'data>, names: [&str; COUNT], from: usize, to: usize) -> Result<Self> {
        let device = &weights.placement().device;
        let taken = all(names, |name| weights.at(name).take_weight("weight", &[to, from]))?;
        if let Some(dense) = device.is_cuda().then(|| dense(&taken)).flatten() {
            return Ok(Self(Layers::Joined { whole: Dense::joined(&dense, None)?, to }));
        }
        Ok(Self(Layers::Separate(all(taken, |weight| PassingProjection::of(weight, [to, from], device.is_cpu()))?)))
    }

    /// `x: [..., from]` to what each layer makes of it.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, x: &Tensor) -> Result<Projected<COUNT>> {
        match &self.0 {
            Layers::Joined { whole, to } => {
                Ok(Projected(Outputs::Joined { y: whole.projection().forward(x)?, to: *to }))
            }
            Layers::Separate(layers) => {
                Ok(Projected(Outputs::Separate(all(layers.each_ref(), |layer| layer.forward(x))?)))
            }
        }
    }

    /// `x: [..., from]` to `[..., to]`, by the layer `index` alone.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward_one(&self, index: usize, x: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Layers::Joined { whole, to } => whole.part(index * to, *to)?.forward_with(x, Epilogue::None),
            Layers::Separate(layers) => layers[index].forward(x),
        }
    }
}

/// What several layers made of one input.
#[derive(Debug)]
pub struct Projected<const COUNT: usize>(Outputs<COUNT>);

#[derive(Debug)]
enum Outputs<const COUNT: usize> {
    /// `[..., COUNT * to]`.
    Joined { y: Tensor, to: usize },
    /// `[..., to]` each.
    Separate([Tensor; COUNT]),
}

impl<const COUNT: usize> Projected<COUNT> {
    /// `[..., to]`, by the layer `index`: where layers are joined a view, whose rows lie apart.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn part(&self, index: usize) -> Result<Tensor> {
        match &self.0 {
            Outputs::Joined { y, to } => Ok(y.narrow(D::Minus1, index * to, *to)?),
            Outputs::Separate(parts) => Ok(parts[index].clone()),
        }
    }

    /// The same as `[..., heads, to / heads]`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn heads(&self, index: usize, heads: usize) -> Result<Tensor> {
        match &self.0 {
            Outputs::Joined { y, to } => {
                Ok(split(y, COUNT * heads, to / heads)?.narrow(D::Minus2, index * heads, heads)?)
            }
            Outputs::Separate(parts) => split(&parts[index], heads, parts[index].dim(D::Minus1)? / heads),
        }
    }
}

/// The last axis as two.
fn split(x: &Tensor, heads: usize, width: usize) -> Result<Tensor> {
    let leading = &x.dims()[..x.rank() - 1];
    Ok(x.reshape([leading, &[heads, width]].concat())?)
}

/// The weights, if all are plain tensors.
fn dense<const COUNT: usize>(weights: &[Weight<'_>; COUNT]) -> Option<Vec<Tensor>> {
    let dense = |weight: &Weight<'_>| match weight {
        Weight::Dense(weight) => Some(weight.clone()),
        _ => None,
    };
    weights.iter().map(dense).collect()
}

/// Each made into another, in order, until one fails.
fn all<T, U, const COUNT: usize>(items: [T; COUNT], make: impl FnMut(T) -> Result<U>) -> Result<[U; COUNT]> {
    let made = items.into_iter().map(make).collect::<Result<Vec<U>>>()?;
    Ok(made.try_into().unwrap_or_else(|_| unreachable!("as many as there were")))
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn tensor(shape: &[usize], step: usize) -> Tensor {
        let count = shape.iter().product::<usize>();
        let values = (0..count).map(|index| ((index * step) % 23) as f32 / 8.0 - 1.0);
        Tensor::from_iter(values, &Device::Cpu).unwrap().reshape(shape).unwrap()
    }

    /// The same three layers, by themselves and joined.
    fn both() -> [JoinedProjection<'static, 3>; 2] {
        let layers = [5, 7, 11].map(|step| (tensor(&[8, 6], step), tensor(&[8], step + 2)));
        let separate = layers
            .each_ref()
            .map(|(weight, bias)| PassingProjection::Kept(Projection::dense(weight.clone(), Some(bias.clone()))));
        let weights = layers.each_ref().map(|(weight, _)| weight.clone());
        let biases = layers.each_ref().map(|(_, bias)| bias.clone());
        let whole = Dense::joined(&weights, Some(&biases)).unwrap();
        [JoinedProjection(Layers::Separate(separate)), JoinedProjection(Layers::Joined { whole, to: 8 })]
    }

    fn difference(a: &Tensor, b: &Tensor) -> f32 {
        assert_eq!((a.dims(), a.dtype()), (b.dims(), DType::F32));
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn joined_layers_make_what_separate_ones_do() {
        let x = tensor(&[2, 4, 6], 13);
        let [separate, joined] = both();
        let found = [separate.forward(&x).unwrap(), joined.forward(&x).unwrap()];
        for index in 0..3 {
            let parts = found.each_ref().map(|found| found.part(index).unwrap());
            assert_eq!(parts[0].dims(), [2, 4, 8]);
            assert!(difference(&parts[0], &parts[1]) < 1e-5);
            let alone = [&separate, &joined].map(|layers| layers.forward_one(index, &x).unwrap());
            assert!(alone.iter().all(|alone| difference(alone, &parts[0]) < 1e-5));
            let heads = found.each_ref().map(|found| found.heads(index, 4).unwrap());
            assert_eq!(heads[0].dims(), [2, 4, 4, 2]);
            assert!(difference(&heads[0], &heads[1]) < 1e-5);
            assert!(difference(&heads[1].flatten_from(2).unwrap(), &parts[0]) < 1e-5);
        }
    }

    /// Nothing is moved for the parts: that is what they are joined for.
    #[test]
    fn parts_of_joined_layers_are_views() {
        let [_, joined] = both();
        let found = joined.forward(&tensor(&[2, 4, 6], 13)).unwrap();
        assert_eq!(found.part(1).unwrap().stride(), [96, 24, 1]);
        assert_eq!(found.heads(2, 4).unwrap().stride(), [96, 24, 2, 1]);
    }
}
