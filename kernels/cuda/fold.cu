// Blocks of space and time to channels and back, channels innermost: folded channel ((c T + time) H + row) W + column holds channel c of frame `time`
// at that place of its block. Values move; unfolding may add others, which are folded the same way and whose channels repeat.
//
// folded: [height, width, channels T H W]; frames: T of [height H, width W, channels]; added: [height, width, added_channels T H W].
// Grid: strips of folded pixels of a row, rows, parts of the channels. A block brings its tile to shared memory in the order in which it lies in one
// form, and writes it in the order of the other, so that neighbours read and write neighbours. There it lies as [pixel][channel][place], with an
// odd number of values for each channel's places so that banks do not collide. Sums are computed in float32 and rounded once. Bound by bytes.
// Every architecture.
#include "common/divisor.cuh"
#include "common/number.cuh"

constexpr int MOST_FRAMES = 8;

struct FoldParameters {
    void* frames[MOST_FRAMES];
    void* folded;
    const void* added;
    int32_t width, channels, added_channels;
    // Of the tile.
    int32_t tile_pixels;
    // Places of a block, frames, rows and columns of it, and the tile's sizes.
    Divisor places, rows, columns, pixels_of_tile, channels_of_tile, repeated;
};

struct Tile {
    int64_t first_pixel, first_channel;
    uint32_t pixels, channels;
};

DEVICE Tile tile_of(const FoldParameters& parameters) {
    Tile tile;
    int64_t pixel = static_cast<int64_t>(blockIdx.x) * parameters.tile_pixels;
    tile.first_pixel = static_cast<int64_t>(blockIdx.y) * parameters.width + pixel;
    tile.first_channel = static_cast<int64_t>(blockIdx.z) * parameters.channels_of_tile.divisor;
    int64_t pixels = parameters.width - pixel, channels = parameters.channels - tile.first_channel;
    tile.pixels = static_cast<uint32_t>(pixels < parameters.tile_pixels ? pixels : parameters.tile_pixels);
    tile.channels = static_cast<uint32_t>(channels < parameters.channels_of_tile.divisor ? channels : parameters.channels_of_tile.divisor);
    return tile;
}

// Where a value is in each form.
struct Place {
    bool is_inside;
    uint32_t shared;
    int64_t folded, added;
    uint32_t time;
    int64_t in_frame;
};

// The tile's values in the order of the folded form: places, channels, pixels.
DEVICE Place folded_place(const FoldParameters& parameters, const Tile& tile, uint32_t index) {
    Division place = divide(index, parameters.places);
    Division channel = divide(place.quotient, parameters.channels_of_tile);
    uint32_t pixel = channel.quotient, count = parameters.places.divisor;
    int64_t whole = tile.first_channel + channel.rest;
    Place result{};
    result.is_inside = pixel < tile.pixels && channel.rest < tile.channels;
    result.shared = place.quotient * (count | 1) + place.rest;
    result.folded = ((tile.first_pixel + pixel) * parameters.channels + whole) * count + place.rest;
    uint32_t repeated = divide(static_cast<uint32_t>(whole), parameters.repeated).rest;
    result.added = ((tile.first_pixel + pixel) * parameters.added_channels + repeated) * count + place.rest;
    return result;
}

// The tile's values in the order of the frames: channels, columns of a block, pixels, rows of a block, frames.
DEVICE Place frame_place(const FoldParameters& parameters, const Tile& tile, uint32_t index) {
    Division channel = divide(index, parameters.channels_of_tile);
    Division column = divide(channel.quotient, parameters.columns);
    Division pixel = divide(column.quotient, parameters.pixels_of_tile);
    Division row = divide(pixel.quotient, parameters.rows);
    uint32_t columns = parameters.columns.divisor, rows = parameters.rows.divisor;
    uint32_t offset = pixel.quotient * columns + column.rest;
    Place result{};
    result.is_inside = pixel.rest < tile.pixels && channel.rest < tile.channels;
    result.shared = (pixel.rest * parameters.channels_of_tile.divisor + channel.rest) * (parameters.places.divisor | 1) + offset;
    result.time = row.quotient;
    int64_t line = static_cast<int64_t>(blockIdx.y) * rows + row.rest;
    int64_t across = static_cast<int64_t>(blockIdx.x) * parameters.tile_pixels + pixel.rest;
    result.in_frame = ((line * parameters.width + across) * columns + column.rest) * parameters.channels + tile.first_channel + channel.rest;
    return result;
}

template <typename T>
DEVICE void fold(const FoldParameters& parameters) {
    T* shared = reinterpret_cast<T*>(shared_memory());
    Tile tile = tile_of(parameters);
    uint32_t count = parameters.tile_pixels * parameters.channels_of_tile.divisor * parameters.places.divisor;
    for (uint32_t index = threadIdx.x; index < count; index += blockDim.x) {
        Place place = frame_place(parameters, tile, index);
        if (place.is_inside) shared[place.shared] = static_cast<const T*>(parameters.frames[place.time])[place.in_frame];
    }
    barrier();
    for (uint32_t index = threadIdx.x; index < count; index += blockDim.x) {
        Place place = folded_place(parameters, tile, index);
        if (place.is_inside) static_cast<T*>(parameters.folded)[place.folded] = shared[place.shared];
    }
}

template <typename T>
DEVICE void unfold(const FoldParameters& parameters) {
    T* shared = reinterpret_cast<T*>(shared_memory());
    Tile tile = tile_of(parameters);
    uint32_t count = parameters.tile_pixels * parameters.channels_of_tile.divisor * parameters.places.divisor;
    const T* added = static_cast<const T*>(parameters.added);
    for (uint32_t index = threadIdx.x; index < count; index += blockDim.x) {
        Place place = folded_place(parameters, tile, index);
        if (!place.is_inside) continue;
        T value = static_cast<const T*>(parameters.folded)[place.folded];
        shared[place.shared] = added ? narrow<T>(widen(value) + widen(added[place.added])) : value;
    }
    barrier();
    for (uint32_t index = threadIdx.x; index < count; index += blockDim.x) {
        Place place = frame_place(parameters, tile, index);
        if (place.is_inside) static_cast<T*>(parameters.frames[place.time])[place.in_frame] = shared[place.shared];
    }
}

KERNEL(fold_f32, FoldParameters, 256, 0) { fold<float>(parameters); }
KERNEL(fold_bf16, FoldParameters, 256, 0) { fold<bfloat16>(parameters); }
KERNEL(fold_f16, FoldParameters, 256, 0) { fold<float16>(parameters); }
KERNEL(unfold_f32, FoldParameters, 256, 0) { unfold<float>(parameters); }
KERNEL(unfold_bf16, FoldParameters, 256, 0) { unfold<bfloat16>(parameters); }
KERNEL(unfold_f16, FoldParameters, 256, 0) { unfold<float16>(parameters); }
