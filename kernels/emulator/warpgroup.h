// Products of a warpgroup on the host: each warp multiplies its own 16 rows when it waits for them, and not before no other thread can go on. It reads
// registers and shared memory only then, so that what was overwritten or released too early, or sums that are used too early, show.
//
// Source: PTX ISA 9.0, "Asynchronous Warpgroup Level Matrix Instructions": matrix descriptors, strides, register fragments.
#pragma once

#include <stdint.h>

#include <deque>
#include <vector>

#include "emulator.h"

namespace emulator {

struct Product {
    float* sums;
    int count;
    // Rows in registers, or null: then `a` describes them.
    const unsigned* rows;
    uint64_t a, b;
    bool is_transposed, accumulates;
    // A value of 16 bits in float32.
    float (*widened)(unsigned short);
};

typedef std::vector<Product> Products;

struct ThreadProducts {
    bool have_begun = false;
    Products open;
    std::deque<Products> groups;
};

struct BlockProducts {
    std::vector<ThreadProducts> threads;
};

inline ThreadProducts& own_products() {
    std::vector<ThreadProducts>& threads = of_block<BlockProducts>().threads;
    if (threads.size() < block_size().x) threads.resize(block_size().x);
    return threads[thread_index().x];
}

// A value of a described matrix, by its place along the axis of M or N and along K.
inline unsigned short described(uint64_t descriptor, bool is_transposed, uint32_t outer, uint32_t inner) {
    const uint32_t start = (descriptor & 0x3FFF) << 4, leading = (descriptor >> 16 & 0x3FFF) << 4, stride = (descriptor >> 32 & 0x3FFF) << 4;
    if (descriptor >> 62 != 1) fail("a matrix descriptor without 128-byte swizzle is not emulated");
    if ((descriptor >> 49 & 7) != 0) fail("a matrix descriptor with a base offset is not emulated");
    uint32_t address = start;
    if (is_transposed) {
        // Rows of the pattern are values of K; 64 values of N fill one.
        address += outer % 64 * 2 + outer / 64 * leading + inner % 8 * 128 + inner / 8 * stride;
    } else {
        address += inner * 2 + outer % 8 * 128 + outer / 8 * stride;
    }
    address ^= (address >> 7 & 7) << 4;
    check_shared(shared_memory() + address, 2, 2, "a value of a described matrix");
    return *reinterpret_cast<const unsigned short*>(shared_memory() + address);
}

// What the lanes of a warp brought: the products of the same group.
inline void multiply_group(void* const* brought) {
    const Products& first = *static_cast<Products*>(brought[0]);
    const uint32_t warp = thread_index().x / 32 % 4;
    for (size_t number = 0; number < first.size(); number++) {
        const Product* lanes[32];
        for (uint32_t lane = 0; lane < 32; lane++) {
            const Products& own = *static_cast<Products*>(brought[lane]);
            if (own.size() != first.size()) fail("the lanes of a warp have groups of %zu and %zu products", first.size(), own.size());
            lanes[lane] = &own[number];
            const Product &a = own[number], &b = first[number];
            if (a.a != b.a || a.b != b.b || a.count != b.count || a.accumulates != b.accumulates) fail("the lanes of a warp multiply different matrices");
        }
        const Product& product = *lanes[0];
        const uint32_t columns = product.count * 2;
        float rows[16][16];
        std::vector<float> others(columns * 16);
        for (uint32_t row = 0; row < 16; row++) {
            for (uint32_t inner = 0; inner < 16; inner++) {
                unsigned short bits;
                if (product.rows) {
                    // Register 2 (inner / 8) + row / 8 of the lane that has the row and the pair.
                    const unsigned packed = lanes[row % 8 * 4 + inner % 8 / 2]->rows[inner / 8 * 2 + row / 8];
                    bits = static_cast<unsigned short>(inner % 2 ? packed >> 16 : packed);
                } else {
                    bits = described(product.a, false, warp * 16 + row, inner);
                }
                rows[row][inner] = product.widened(bits);
            }
        }
        for (uint32_t column = 0; column < columns; column++) {
            for (uint32_t inner = 0; inner < 16; inner++) others[column * 16 + inner] = product.widened(described(product.b, product.is_transposed, column, inner));
        }
        for (uint32_t row = 0; row < 16; row++) {
            for (uint32_t column = 0; column < columns; column++) {
                float sum = 0.0f;
                for (uint32_t inner = 0; inner < 16; inner++) sum += rows[row][inner] * others[column * 16 + inner];
                float& target = lanes[row % 8 * 4 + column % 8 / 2]->sums[column / 8 * 4 + row / 8 * 2 + column % 2];
                target = product.accumulates ? target + sum : sum;
            }
        }
    }
}

inline void begin_products() { own_products().have_begun = true; }

inline void start_product(const Product& product) {
    ThreadProducts& own = own_products();
    if (!own.have_begun) fail("a product without begin_products() since products were waited for");
    own.open.push_back(product);
}

inline void commit_products() {
    ThreadProducts& own = own_products();
    own.groups.push_back(own.open);
    own.open.clear();
}

inline void wait_for_products(size_t pending) {
    ThreadProducts& own = own_products();
    if (own.groups.size() > pending) wait_for_others();
    for (; own.groups.size() > pending; own.groups.pop_front()) together(32, multiply_group, &own.groups.front(), "a product of a warpgroup");
    own.have_begun = false;
}

}  // namespace emulator
