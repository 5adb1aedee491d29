// Vectors of values of which some may lie beyond the end of a row.
#pragma once

#include "number.cuh"

// The first `count` values from `source` on, and zeros. `whole`: whether full vectors may be loaded at once, that is, are aligned.
template <typename T>
DEVICE Vector<T> load_partial_vector(const T* source, int count, bool whole) {
    if (whole && count == Vector<T>::LENGTH) return load_vector(source);
    Vector<T> vector;
#pragma unroll
    for (int index = 0; index < Vector<T>::LENGTH; index++) vector.values[index] = index < count ? source[index] : T{};
    return vector;
}

// Stores the first `count` values.
template <typename T>
DEVICE void store_partial_vector(T* target, const Vector<T>& vector, int count, bool whole) {
    if (whole && count == Vector<T>::LENGTH) return store_vector(target, vector);
#pragma unroll
    for (int index = 0; index < Vector<T>::LENGTH; index++) {
        if (index < count) target[index] = vector.values[index];
    }
}
