//! The LTX transformer with its blocks elsewhere: results do not depend on where they wait, and copies that run beside the computation come neither
//! too early nor too late.

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Tensor};
use half::{bf16, f16};
use stir::device::carrier::{Carrier, HostWeight};
use stir::error::Result;
use stir::models::ltx::block::PerturbationMode;
use stir::models::ltx::config::TransformerConfig;
use stir::models::ltx::transformer::{Perturbation, Transformer};
use stir::weights::files::WeightFiles;
use stir::weights::keymap::KeyMap;
use stir::weights::store::{Placement, Store, Weight};
use stir::weights::synthetic::Synthetic;

use crate::fixture::{assert_close, values};
use crate::ltx_transformer::{NAMES, bytes, cases, config, tiny, velocity};

fn placement(dtype: DType) -> Placement {
    Placement { dtype, device: Device::Cpu }
}

fn store(weights: &[u8], dtype: DType) -> Store<'_> {
    Store::new("tiny", weights, KeyMap::IDENTITY, &placement(dtype)).unwrap()
}

/// Every prediction that a run asks for: plain, and with its last block perturbed.
fn velocities(name: &str, network: &Transformer) -> Vec<Vec<f32>> {
    let perturbed = |mode| Perturbation { blocks: vec![network.config().layers - 1], mode };
    let perturbations =
        [None, Some(perturbed(PerturbationMode::AttentionValues)), Some(perturbed(PerturbationMode::TransformerBlock))];
    let velocity = |perturbation: &Option<Perturbation>| {
        let velocity = velocity(network, &cases(name), perturbation.as_ref());
        velocity.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    perturbations.iter().map(velocity).collect()
}

#[test]
fn blocks_on_disk_give_the_same_bits() {
    for name in NAMES {
        for dtype in [DType::F32, DType::BF16] {
            let weights = bytes(&format!("{name}.safetensors"));
            let config = config(name, true);
            let streamed = Transformer::streamed(store(&weights, dtype), &config, None).unwrap();
            assert_eq!(velocities(name, &streamed), velocities(name, &tiny(name, dtype)), "{name} in {dtype:?}");
        }
    }
}

/// What a device that computes beside its copies is asked for, in order. Room holds not-a-numbers until it is filled: as early as copies are allowed
/// where `late` is not set, and else as late.
struct HostCarrier {
    late: bool,
    log: Rc<RefCell<Log>>,
}

#[derive(Default)]
struct Log {
    /// `r`: room, `m`: mark, `c`: a copy, `a`: arrival; repeated ones once.
    asked: String,
    copies: Vec<(Vec<u8>, Tensor)>,
}

impl HostCarrier {
    fn boxed(late: bool) -> (Box<dyn Carrier>, Rc<RefCell<Log>>) {
        let log = Rc::<RefCell<Log>>::default();
        (Box::new(Self { late, log: log.clone() }), log)
    }
}

impl Log {
    fn ask(&mut self, letter: char) {
        if !self.asked.ends_with(letter) {
            self.asked.push(letter);
        }
    }
}

impl Carrier for HostCarrier {
    fn room(&self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        self.log.borrow_mut().ask('r');
        let nothing = vec![f32::NAN; shape.iter().product()];
        Ok(Tensor::from_vec(nothing, shape, &Device::Cpu)?.to_dtype(dtype)?)
    }

    fn mark(&self) -> Result<()> {
        self.log.borrow_mut().ask('m');
        Ok(())
    }

    fn copy(&self, weight: &HostWeight<'_>, room: &Tensor) -> Result<()> {
        let mut log = self.log.borrow_mut();
        assert!(
            log.asked.ends_with(['m', 'c']),
            "{} may be copied before its room is free: {}",
            weight.name,
            log.asked
        );
        log.ask('c');
        let bytes = (weight.read)()?.into_owned();
        assert_eq!(bytes.len(), room.elem_count() * room.dtype().size_in_bytes(), "{}", weight.name);
        match self.late {
            true => log.copies.push((bytes, room.clone())),
            false => room.inplace_op1(&Fill(bytes))?,
        }
        Ok(())
    }

    fn arrive(&self) -> Result<()> {
        let mut log = self.log.borrow_mut();
        log.ask('a');
        log.copies.drain(..).try_for_each(|(bytes, room)| Ok(room.inplace_op1(&Fill(bytes))?))
    }
}

/// Writes over a tensor.
struct Fill(Vec<u8>);

impl InplaceOp1 for Fill {
    fn name(&self) -> &'static str {
        "fill"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let Self(bytes) = self;
        let start = layout.start_offset();
        match storage {
            CpuStorage::F32(values) => {
                values[start..]
                    .iter_mut()
                    .zip(bytes.as_chunks().0)
                    .for_each(|(value, bytes)| *value = f32::from_le_bytes(*bytes));
            }
            CpuStorage::BF16(values) => {
                values[start..]
                    .iter_mut()
                    .zip(bytes.as_chunks().0)
                    .for_each(|(value, bytes)| *value = bf16::from_le_bytes(*bytes));
            }
            CpuStorage::F16(values) => {
                values[start..]
                    .iter_mut()
                    .zip(bytes.as_chunks().0)
                    .for_each(|(value, bytes)| *value = f16::from_le_bytes(*bytes));
            }
            _ => unreachable!("weights are floating-point numbers"),
        }
        Ok(())
    }
}

/// A network of more blocks than are on the device at a time. The stand-in multiplies like a device, not like the CPU, so it is compared with itself.
#[test]
fn blocks_that_stream_beside_the_computation_give_the_same_bits() {
    let config = TransformerConfig { layers: 5, ..config(NAMES[0], true) };
    let files = WeightFiles::synthetic(Synthetic::new("deep", 1, &[]));
    for dtype in [DType::F32, DType::BF16] {
        let [early, late] = [false, true].map(|late| {
            let (carrier, _) = HostCarrier::boxed(late);
            let store = Store::open(&files, KeyMap::IDENTITY, &placement(dtype)).unwrap();
            velocities(NAMES[0], &Transformer::streamed(store, &config, Some(carrier)).unwrap())
        });
        assert!(early.iter().flatten().all(|value| value.is_finite()));
        assert_eq!(early, late, "{dtype:?}");
    }
}

/// As nearly as sums in another order allow.
#[test]
fn blocks_that_stream_beside_the_computation_are_those_of_the_reference() {
    for name in NAMES {
        let (weights, config) = (bytes(&format!("{name}.safetensors")), config(name, true));
        let (carrier, _) = HostCarrier::boxed(true);
        let network = Transformer::streamed(store(&weights, DType::F32), &config, Some(carrier)).unwrap();
        let found = velocity(&network, &cases(name), None);
        assert_close(name, &values(&found), &cases(name).values("velocity"), 5e-6);
    }
}

/// Room for block `n + 1` is made, and its copy may begin, before block `n` is asked to compute; it is waited for after that.
#[test]
fn one_block_is_on_its_way_while_another_computes() {
    let name = NAMES[0];
    let config = TransformerConfig { layers: 3, ..config(name, true) };
    let files = WeightFiles::synthetic(Synthetic::new("deep", 1, &[]));
    let (carrier, log) = HostCarrier::boxed(true);
    let store = Store::open(&files, KeyMap::IDENTITY, &placement(DType::F32)).unwrap();
    let network = Transformer::streamed(store, &config, Some(carrier)).unwrap();
    assert_eq!(log.borrow().asked, "", "the ends of the network stay where they are");
    network.context(&cases(name).get("text")).unwrap();
    let pass = "rmca".repeat(config.layers);
    assert_eq!(log.borrow().asked, pass);
    velocity(&network, &cases(name), None);
    // Once more for the text, and once for the velocity.
    assert_eq!(log.borrow().asked, pass.repeat(3));
}

#[test]
fn a_weight_is_nothing_before_it_is_brought() {
    let weights = bytes(&format!("{}.safetensors", NAMES[0]));
    let (carrier, _) = HostCarrier::boxed(true);
    let store = store(&weights, DType::F32).carried_by(carrier);
    let width = config(NAMES[0], true).width();
    let take = || match store.root().at("transformer_blocks.0.attn1.to_q").take_weight("weight", &[width, width]) {
        Ok(Weight::Carried(weight)) => weight,
        other => panic!("{other:?}"),
    };
    let first = |weight: &Tensor| weight.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0];
    let (early, abandoned) = (take(), first(&take()));
    assert!(first(&early).is_nan() && abandoned.is_nan());
    store.mark().unwrap();
    store.bring().unwrap();
    assert!(first(&early).is_finite());
    let forgotten = take();
    store.abandon();
    store.bring().unwrap();
    assert!(first(&forgotten).is_nan());
}
