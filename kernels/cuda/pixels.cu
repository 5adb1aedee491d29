// A decoded frame to bytes: values of about -1 to 1 become levels of 0 to 255, rounded to the nearest, of two as near to the even one, and go out as
// red, green and blue of each pixel.
//
// values: three channels, at any strides. bytes: [height, width, 3]. flags: one byte for each block, 1 where it saw a value that is not finite.
// Grid: 1-D, blocks stride over pixels. Shared: 4 bytes. The float32 operations are the CPU's, each rounded by itself: the same bytes. Bound by bytes.
// Every architecture.
#include "common/divisor.cuh"
#include "common/number.cuh"

struct PixelParameters {
    const void* values;
    uint8_t* bytes;
    uint8_t* flags;
    int64_t channel_stride, row_stride, column_stride;
    // Pixels of a row.
    Divisor width;
    int32_t count;
};

struct Levels {
    int32_t values[3];
};

template <typename T>
DEVICE Levels levels_of(const PixelParameters& parameters, uint32_t x, uint32_t y, bool& all_finite) {
    const T* pixel = static_cast<const T*>(parameters.values) + y * parameters.row_stride + x * parameters.column_stride;
    Levels levels;
#pragma unroll
    for (int channel = 0; channel < 3; channel++) {
        float value = widen(pixel[channel * parameters.channel_stride]);
        all_finite &= (bits_of(value) & 0x7F800000) != 0x7F800000;
        // A half of it is exact: nothing is lost if the sum is fused.
        float share = value * 0.5f + 0.5f;
        share = share > 0.0f ? share : 0.0f;
        share = share < 1.0f ? share : 1.0f;
        levels.values[channel] = static_cast<int32_t>(nearest_whole(share * 255.0f));
    }
    return levels;
}

template <typename T>
DEVICE bool write_rgb(const PixelParameters& parameters, uint32_t index) {
    bool all_finite = true;
    Division place = divide(index, parameters.width);
    Levels levels = levels_of<T>(parameters, place.rest, place.quotient, all_finite);
    uint8_t* bytes = parameters.bytes + static_cast<int64_t>(index) * 3;
#pragma unroll
    for (int channel = 0; channel < 3; channel++) bytes[channel] = static_cast<uint8_t>(levels.values[channel]);
    return all_finite;
}

template <typename T>
DEVICE void write_pixels(const PixelParameters& parameters) {
    int* any_infinite = reinterpret_cast<int*>(shared_memory());
    if (threadIdx.x == 0) *any_infinite = 0;
    barrier();
    bool all_finite = true;
    uint32_t count = static_cast<uint32_t>(parameters.count);
    for (uint32_t index = blockIdx.x * blockDim.x + threadIdx.x; index < count; index += gridDim.x * blockDim.x) {
        all_finite &= write_rgb<T>(parameters, index);
    }
    // All that write, write the same.
    if (!all_finite) *any_infinite = 1;
    barrier();
    if (threadIdx.x == 0) parameters.flags[blockIdx.x] = static_cast<uint8_t>(*any_infinite);
}

KERNEL(rgb_f32, PixelParameters, 256, 0) { write_pixels<float>(parameters); }
KERNEL(rgb_bf16, PixelParameters, 256, 0) { write_pixels<bfloat16>(parameters); }
KERNEL(rgb_f16, PixelParameters, 256, 0) { write_pixels<float16>(parameters); }
