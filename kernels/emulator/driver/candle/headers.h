// All headers that candle's kernels include, none of which may be read inside of a namespace.
#pragma once

#include <math.h>
#include <stdint.h>

#include <cmath>
#include <cuda/std/limits>

#include "cuda.h"
#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "cuda_fp8.h"
