// Vectors of 16 bytes as float32, and back.
#pragma once

#include "number.cuh"

// Values as they are stored: two of 16 bits share a word.
using Words = Vector<unsigned>;

template <typename T>
DEVICE Words load_words(const T* source) {
    return load_vector(reinterpret_cast<const unsigned*>(source));
}

// The values of a vector, widened.
template <typename T>
DEVICE void widen_values(const Words& words, float (&values)[Vector<T>::LENGTH]) {
#pragma unroll
    for (int word = 0; word < 4; word++) {
        if constexpr (sizeof(T) == 4) {
            values[word] = float_of(words.values[word]);
        } else {
            values[2 * word] = low_half<T>(words.values[word]);
            values[2 * word + 1] = high_half<T>(words.values[word]);
        }
    }
}

// Rounds a vector's values and stores them.
template <typename T>
DEVICE void store_values(T* target, const float (&values)[Vector<T>::LENGTH]) {
    Words words;
#pragma unroll
    for (int word = 0; word < 4; word++) {
        if constexpr (sizeof(T) == 4) {
            words.values[word] = bits_of(values[word]);
        } else {
            words.values[word] = pack<T>(values[2 * word], values[2 * word + 1]);
        }
    }
    store_vector(reinterpret_cast<unsigned*>(target), words);
}

// `COUNT` values from `source` on, widened; by vectors if `ALIGNED`, where they are as many as vectors hold.
template <int COUNT, bool ALIGNED, typename T>
DEVICE void load_values(const T* source, float (&values)[COUNT]) {
    constexpr int LENGTH = Vector<T>::LENGTH;
    if constexpr (ALIGNED && COUNT % LENGTH == 0) {
#pragma unroll
        for (int first = 0; first < COUNT; first += LENGTH) {
            float part[LENGTH];
            widen_values<T>(load_words(source + first), part);
#pragma unroll
            for (int index = 0; index < LENGTH; index++) values[first + index] = part[index];
        }
    } else {
#pragma unroll
        for (int index = 0; index < COUNT; index++) values[index] = widen(source[index]);
    }
}

// Keeps the compiler from holding what it has made of a vector in registers beside it.
DEVICE void forget(Words& words) {
#if defined(__CUDACC__)
#pragma unroll
    for (int word = 0; word < 4; word++) asm volatile("" : "+r"(words.values[word]));
#else
    (void)words;
#endif
}
