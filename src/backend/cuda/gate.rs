//! What follows a matrix product and is not fused into it: bias, activation, gate and residual.

use super::launch::{Element, Launch, WARP};

/// A product to be finished: `y = residual + gate * activation(x + bias)`. Addresses are of values of type `element` unless said otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Finish<'a> {
    /// Of all but the gates.
    pub element: Element,
    /// Address of the product, `[rows, width]`.
    pub x: u64,
    /// Address of `[rows, width]`, for the results: also that of `x` or of the residual.
    pub y: u64,
    /// Address of `[width]`; `None` for zeros.
    pub bias: Option<u64>,
    /// What is done to the sum of product and bias.
    pub activation: Activation,
    /// `None` for ones.
    pub gate: Option<Gate<'a>>,
    /// Address of `[rows, width]`; `None` for zeros.
    pub residual: Option<u64>,
    /// Below 2^31.
    pub rows: usize,
    /// Below 2^31.
    pub width: usize,
}

/// Factors for the columns, which may change from one range of rows to the next.
#[derive(Debug, Clone, Copy)]
pub struct Gate<'a> {
    /// Address of `[starts.len(), width]`, float32.
    pub values: u64,
    /// Where each range begins: ascending from 0.
    pub starts: &'a [usize],
}

/// What is done to each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// GELU in its tanh form.
    Gelu,
    /// `y / (1 + exp(-y))`.
    Silu,
}

/// `GateParameters` of `gate.cu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct GateParameters {
    x: u64,
    y: u64,
    bias: u64,
    residual: u64,
    gates: u64,
    rows: i32,
    width: i32,
    rows_each: i32,
    activation: i32,
}

/// The most threads of a block.
const BLOCK: usize = 128;

/// Rows that a thread takes.
const ROWS: usize = 4;

/// One pass over the product; where the gate's ranges are not of one length, one for each of them.
///
/// # Panics
/// If a count is not within the bounds that [`Finish`] states.
pub fn plan(finish: &Finish<'_>) -> Vec<Launch<GateParameters>> {
    let Finish { rows, gate, .. } = *finish;
    let Some(Gate { starts, .. }) = gate else {
        return vec![part(finish, Part { group: 0, first: 0, rows, each: rows })];
    };
    let each = rows / starts.len();
    let even =
        rows.is_multiple_of(starts.len()) && starts.iter().enumerate().all(|(group, start)| *start == group * each);
    if even {
        return vec![part(finish, Part { group: 0, first: 0, rows, each })];
    }
    let ends = starts[1..].iter().copied().chain([rows]);
    let ranges = starts.iter().map(|start| (*start).min(rows)).zip(ends.map(|end| end.min(rows))).enumerate();
    let ranges = ranges.filter(|(_, (start, end))| start < end);
    ranges
        .map(|(group, (first, end))| part(finish, Part { group, first, rows: end - first, each: end - first }))
        .collect()
}

/// Some rows, gated by groups of `each` from `group` on.
struct Part {
    group: usize,
    first: usize,
    rows: usize,
    each: usize,
}

fn part(finish: &Finish<'_>, part: Part) -> Launch<GateParameters> {
    let Finish { element, width, .. } = *finish;
    let Part { group, first, rows, each } = part;
    let count = |value: usize| i32::try_from(value).expect("a count below 2^31");
    let from_first = |address: u64| address + (first * width * element.bytes()) as u64;
    let parameters = GateParameters {
        x: from_first(finish.x),
        y: from_first(finish.y),
        bias: finish.bias.unwrap_or(0),
        residual: finish.residual.map_or(0, from_first),
        gates: finish.gate.map_or(0, |gate| gate.values + (group * width * size_of::<f32>()) as u64),
        rows: count(rows),
        width: count(width),
        rows_each: count(each.max(1)),
        activation: match finish.activation {
            Activation::None => 0,
            Activation::Gelu => 1,
            Activation::Silu => 2,
        },
    };
    let GateParameters { x, y, bias, residual, gates, .. } = parameters;
    let aligned = width.is_multiple_of(element.vector())
        && [x, y, bias, residual, gates].iter().all(|address| address.is_multiple_of(16));
    let kernel = match (element, aligned) {
        (Element::Float32, true) => "gate_f32",
        (Element::Float32, false) => "gate_f32_single",
        (Element::Bfloat16, true) => "gate_bf16",
        (Element::Bfloat16, false) => "gate_bf16_single",
        (Element::Float16, true) => "gate_f16",
        (Element::Float16, false) => "gate_f16_single",
    };
    let threads = if aligned { width / element.vector() } else { width };
    let block = threads.next_multiple_of(WARP as usize).clamp(WARP as usize, BLOCK);
    let grid = [rows.div_ceil(ROWS) as u32, threads.div_ceil(block) as u32, 1];
    Launch { kernel, grid, block: block as u32, shared_bytes: 0, parameters }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(element: Element, rows: usize, width: usize) -> Finish<'static> {
        let (bias, gate, residual) = (Some(256), None, Some(1024));
        Finish { element, x: 512, y: 512, bias, activation: Activation::None, gate, residual, rows, width }
    }

    #[test]
    fn even_ranges_are_one_launch() {
        let gate = Some(Gate { values: 4096, starts: &[0, 5, 10] });
        let launches = plan(&Finish { gate, ..finish(Element::Bfloat16, 15, 2048) });
        let [Launch { kernel: "gate_bf16", grid: [4, 2, 1], block: 128, parameters, .. }] = launches[..] else {
            panic!("{launches:?}");
        };
        assert_eq!((parameters.rows, parameters.rows_each, parameters.gates), (15, 5, 4096));
    }

    #[test]
    fn uneven_ranges_are_a_launch_each() {
        let gate = Some(Gate { values: 4096, starts: &[0, 5, 5, 9] });
        let launches = plan(&Finish { gate, ..finish(Element::Float32, 8, 36) });
        let parts: Vec<_> = launches.iter().map(|launch| (launch.parameters.x, launch.parameters.gates)).collect();
        assert_eq!(parts, [(512, 4096), (512 + 5 * 36 * 4, 4096 + 2 * 36 * 4)]);
        assert_eq!(launches[1].parameters.rows, 3);
        assert_eq!(launches[1].parameters.residual, 1024 + 5 * 36 * 4);
    }

    #[test]
    fn what_vectors_do_not_fit_is_taken_singly() {
        let kernel = |finish: Finish<'_>| plan(&finish)[0].kernel;
        let whole = finish(Element::Float16, 3, 64);
        assert_eq!(kernel(whole), "gate_f16");
        assert_eq!(kernel(Finish { width: 60, ..whole }), "gate_f16_single");
        assert_eq!(kernel(Finish { bias: Some(8), ..whole }), "gate_f16_single");
    }
}
