//! Requests are carried out on the host, by what cuBLASLt's manual says of them, and compared with the definition.

use std::collections::BTreeMap;

use super::*;

/// Memory with holes: what no tensor lies in cannot be read.
#[derive(Default)]
struct Memory {
    values: BTreeMap<u64, f64>,
    reads: usize,
}

impl Memory {
    const SIZE: u64 = 2;

    fn place(&mut self, rows: Rows, width: usize, count: usize, value: impl Fn(usize, usize) -> f64) {
        for row in 0..count {
            for column in 0..width {
                let address = rows.pointer + Self::SIZE * (row * rows.stride + column) as u64;
                assert!(self.values.insert(address, value(row, column)).is_none(), "two values at {address}");
            }
        }
    }

    fn read(&mut self, address: u64) -> f64 {
        self.reads += 1;
        *self.values.get(&address).unwrap_or_else(|| panic!("nothing lies at {address}"))
    }

    /// The value in a row and a column of a matrix of columns.
    fn at(&mut self, matrix: &Matrix, row: u64, column: u64) -> f64 {
        self.read(address(matrix, row, column))
    }
}

fn address(matrix: &Matrix, row: u64, column: u64) -> u64 {
    assert!(row < matrix.rows && column < matrix.columns && matrix.leading >= matrix.rows as i64);
    matrix.pointer + Memory::SIZE * (row + column * matrix.leading as u64)
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())
}

/// `D = fused(A^T B + beta C)`, column by column.
fn carry_out(request: &Request, memory: &mut Memory) -> BTreeMap<u64, f64> {
    let Request { a, b, c, d, beta, fused, bias, .. } = request;
    assert_eq!((a.rows, a.columns, b.columns), (b.rows, d.rows, d.columns), "sizes of A^T B and D");
    assert_eq!((c.rows, c.columns), (d.rows, d.columns));
    let mut written = BTreeMap::new();
    for column in 0..d.columns {
        for row in 0..d.rows {
            let mut sum = (0..a.rows).map(|k| memory.at(a, k, row) * memory.at(b, k, column)).sum::<f64>();
            if *beta != 0.0 {
                sum += f64::from(*beta) * memory.at(c, row, column);
            }
            if matches!(fused, Fused::Bias | Fused::GeluBias) {
                sum += memory.read(bias.expect("the epilogue takes a bias") + Memory::SIZE * row);
            }
            if matches!(fused, Fused::Gelu | Fused::GeluBias) {
                sum = gelu(sum);
            }
            written.insert(address(d, row, column), sum);
        }
    }
    written
}

fn x_value(row: usize, column: usize) -> f64 {
    ((row * 7 + column * 3) % 11) as f64 / 8.0 - 0.6
}

fn weight_value(row: usize, column: usize) -> f64 {
    ((row * 5 + column * 13) % 17) as f64 / 16.0 - 0.5
}

fn bias_value(column: usize) -> f64 {
    column as f64 / 4.0 - 0.3
}

fn addend_value(row: usize, column: usize) -> f64 {
    (row * 100 + column) as f64
}

/// Every combination of bias, addend and GELU, over sizes that differ in all directions, with rows that follow each other and rows that do not.
#[test]
fn requests_are_the_definition() {
    for sizes in [[1, 1, 1], [5, 3, 2], [2, 7, 4], [3, 4, 9], [1, 6, 5], [6, 1, 3]] {
        let [rows, outputs, inputs] = sizes;
        for option in 0..32 {
            let [with_bias, adds, gelu_is_on, apart, in_place] = [0, 1, 2, 3, 4].map(|bit| option >> bit & 1 == 1);
            let gap = if apart { 3 } else { 0 };
            let x = Rows { pointer: 1000, stride: inputs + gap };
            let addend = Rows { pointer: 30_000, stride: outputs + 2 * gap };
            let y = if in_place { addend } else { Rows { pointer: 40_000, stride: outputs + gap } };
            let mut memory = Memory::default();
            memory.place(x, inputs, rows, x_value);
            memory.place(Rows { pointer: 10_000, stride: inputs }, inputs, outputs, weight_value);
            if with_bias {
                memory.place(Rows { pointer: 20_000, stride: outputs }, outputs, 1, |_, column| bias_value(column));
            }
            if adds {
                memory.place(addend, outputs, rows, addend_value);
            }
            let request = Request::of(&Product {
                dtype: DType::BF16,
                sizes: Sizes { rows, outputs, inputs },
                x,
                weight: 10_000,
                bias: with_bias.then_some(20_000),
                addend: adds.then_some(addend),
                gelu: gelu_is_on,
                y,
            });
            let found = carry_out(&request, &mut memory);
            assert_eq!(found.len(), rows * outputs);
            for row in 0..rows {
                for column in 0..outputs {
                    let mut expected = (0..inputs).map(|k| x_value(row, k) * weight_value(column, k)).sum::<f64>();
                    expected += if with_bias { bias_value(column) } else { 0.0 };
                    expected += if adds { addend_value(row, column) } else { 0.0 };
                    if gelu_is_on {
                        expected = gelu(expected);
                    }
                    let found = found[&(y.pointer + Memory::SIZE * (row * y.stride + column) as u64)];
                    assert!((found - expected).abs() < 1e-12, "{sizes:?}, option {option}: {found}, {expected}");
                }
            }
            let read = rows * outputs * (2 * inputs + usize::from(with_bias) + usize::from(adds));
            assert_eq!(memory.reads, read);
        }
    }
}

#[test]
fn what_adds_nothing_reads_no_c() {
    let y = Rows { pointer: 512, stride: 8 };
    let sizes = Sizes { rows: 4, outputs: 8, inputs: 2 };
    let x = Rows { pointer: 256, stride: 2 };
    let product = Product { dtype: DType::F32, sizes, x, weight: 0, bias: None, addend: None, gelu: false, y };
    let request = Request::of(&product);
    assert_eq!((request.beta, request.fused, request.c), (0.0, Fused::Nothing, request.d));
}

#[test]
fn the_workspace_grows_with_hopper() {
    let mebibytes = |architecture| workspace_bytes(architecture) >> 20;
    assert_eq!([Architecture::AMPERE, Architecture::ADA].map(mebibytes), [4, 4]);
    assert_eq!([Architecture::HOPPER, Architecture::BLACKWELL_CONSUMER].map(mebibytes), [32, 32]);
}
