// cuBLASLt, as stir calls it. It proposes an algorithm that splits sums before those that do not, so that whoever takes the first one shows.
#include <cublasLt.h>
#include <math.h>
#include <string.h>

#include <algorithm>

#include "driver.h"
#include "products.h"
#include "streams.h"

namespace driver {
namespace {

constexpr size_t VERSION = 130100;
// What stands at the beginning of descriptors, while they live, and of algorithms.
constexpr uint64_t DESCRIPTION_MARK = 0x5354495244455343;
constexpr uint64_t LAYOUT_MARK = 0x535449524C41594F;
constexpr uint64_t PREFERENCE_MARK = 0x5354495250524546;
constexpr uint64_t ALGORITHM_MARK = 0x53544952414C474F;
constexpr int ALGORITHMS = 3;
constexpr size_t WORKSPACE_ALIGNMENT = 256;
constexpr size_t BIAS_ALIGNMENT = 16;
constexpr uint32_t MOST_ALIGNED = 256;
// A, B, C and D.
constexpr int MATRICES = 4;

char handle_object;

struct Description {
    uint64_t mark;
    cublasComputeType_t compute;
    cudaDataType factors;
    cublasOperation_t a_operation;
    cublasOperation_t b_operation;
    cublasLtEpilogue_t epilogue;
    uint64_t bias;
};

struct Layout {
    uint64_t mark;
    cudaDataType type;
    uint64_t rows, columns;
    int64_t leading;
};

struct Preference {
    uint64_t mark;
    uint64_t workspace;
    uint32_t reductions;
    uint32_t alignments[MATRICES];
};

// What fills the 64 bytes of an algorithm.
struct Algorithm {
    uint64_t mark;
    uint32_t number;
    uint32_t workspace;
    // The problem that it was proposed for.
    uint32_t alignments[MATRICES];
    uint32_t rows, columns, length, epilogue;
    cudaDataType type;
};

static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t), "an algorithm has 64 bytes");

bool splits(const Algorithm& algorithm) { return algorithm.number == 0; }

// What an opaque descriptor is, if it is alive and of this kind; reported where not.
template <typename Kind>
Kind* alive(const void* descriptor, uint64_t mark, const char* call) {
    Kind* found = const_cast<Kind*>(static_cast<const Kind*>(descriptor));
    if (found && found->mark == mark) return found;
    report("%s: a descriptor that has been destroyed, or of another kind", call);
    return nullptr;
}

// Destroyed descriptors stay, without their mark, so that their use shows.
template <typename Kind>
cublasStatus_t destroy(void* descriptor, uint64_t mark, const char* call) {
    Kind* found = alive<Kind>(descriptor, mark, call);
    if (!found) return CUBLAS_STATUS_INVALID_VALUE;
    found->mark = 0;
    return CUBLAS_STATUS_SUCCESS;
}

// Copies an attribute of this size; reported where its size is another.
template <typename Value>
cublasStatus_t read(Value& target, const void* source, size_t bytes, const char* call) {
    if (bytes != sizeof target) {
        report("%s: an attribute of %zu bytes, which has %zu", call, bytes, sizeof target);
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    memcpy(&target, source, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

// The descriptors of a call.
struct Call {
    const Description* description;
    const Layout *a, *b, *c, *d;
};

// Whether descriptors are alive and fit each other; reported where not.
bool is_product(Call& call, const void* description, const void* a, const void* b, const void* c, const void* d, const char* name) {
    call.description = alive<Description>(description, DESCRIPTION_MARK, name);
    call.a = alive<Layout>(a, LAYOUT_MARK, name);
    call.b = alive<Layout>(b, LAYOUT_MARK, name);
    call.c = alive<Layout>(c, LAYOUT_MARK, name);
    call.d = alive<Layout>(d, LAYOUT_MARK, name);
    if (!call.description || !call.a || !call.b || !call.c || !call.d) return false;
    const Description& product = *call.description;
    if (product.a_operation != CUBLAS_OP_T || product.b_operation != CUBLAS_OP_N) {
        report("%s: only A is transposed in the products that are emulated", name);
        return false;
    }
    const bool do_sizes_fit = call.a->rows == call.b->rows && call.a->columns == call.d->rows && call.b->columns == call.d->columns &&
        call.c->rows == call.d->rows && call.c->columns == call.d->columns;
    if (!do_sizes_fit) {
        report("%s: the sizes of the matrices do not fit each other", name);
        return false;
    }
    if (call.b->type != call.a->type || call.c->type != call.a->type || call.d->type != call.a->type) {
        report("%s: matrices of different types are not emulated", name);
        return false;
    }
    const cublasLtEpilogue_t known[] = {CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_GELU, CUBLASLT_EPILOGUE_GELU_BIAS};
    if (std::find(std::begin(known), std::end(known), product.epilogue) == std::end(known)) {
        report("%s: the epilogue %d is not emulated", name, product.epilogue);
        return false;
    }
    if ((product.epilogue & CUBLASLT_EPILOGUE_BIAS) && (product.bias == 0 || product.bias % BIAS_ALIGNMENT != 0)) {
        report("%s: a bias at %#lx, no multiple of %zu", name, static_cast<unsigned long>(product.bias), BIAS_ALIGNMENT);
        return false;
    }
    return true;
}

Algorithm proposal(const Call& call, const Preference& preference, uint32_t number) {
    Algorithm algorithm{};
    algorithm.mark = ALGORITHM_MARK;
    algorithm.number = number;
    algorithm.workspace = number << 20;
    memcpy(algorithm.alignments, preference.alignments, sizeof algorithm.alignments);
    algorithm.rows = static_cast<uint32_t>(call.d->rows);
    algorithm.columns = static_cast<uint32_t>(call.d->columns);
    algorithm.length = static_cast<uint32_t>(call.a->rows);
    algorithm.epilogue = call.description->epilogue;
    algorithm.type = call.d->type;
    return algorithm;
}

// Whether an algorithm is one that was proposed for such a product, at such addresses, and in this workspace; reported where not.
bool is_for(const Algorithm& algorithm, const Call& call, const uint64_t (&addresses)[MATRICES], size_t workspace) {
    if (algorithm.mark != ALGORITHM_MARK) {
        report("cublasLtMatmul: an algorithm that was never proposed");
        return false;
    }
    if (splits(algorithm)) {
        report("cublasLtMatmul: an algorithm that splits sums");
        return false;
    }
    const bool is_same_problem = algorithm.rows == call.d->rows && algorithm.columns == call.d->columns && algorithm.length == call.a->rows &&
        algorithm.type == call.d->type && algorithm.epilogue == static_cast<uint32_t>(call.description->epilogue);
    if (!is_same_problem) {
        report("cublasLtMatmul: an algorithm that was proposed for another product");
        return false;
    }
    for (int matrix = 0; matrix < MATRICES; matrix++) {
        if (addresses[matrix] % algorithm.alignments[matrix] == 0) continue;
        report("cublasLtMatmul: %c is no multiple of the %u bytes that its algorithm asks for", "ABCD"[matrix], algorithm.alignments[matrix]);
        return false;
    }
    if (algorithm.workspace > workspace) {
        report("cublasLtMatmul: %zu bytes of workspace for an algorithm that needs %u", workspace, algorithm.workspace);
        return false;
    }
    return true;
}

// GELU in its tanh form, which cuBLASLt has.
float gelu(float x) { return 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x))); }

}  // namespace
}  // namespace driver

using namespace driver;

extern "C" {

size_t cublasLtGetVersion() { return VERSION; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
    if (!has_context(__func__)) return CUBLAS_STATUS_NOT_INITIALIZED;
    *handle = reinterpret_cast<cublasLtHandle_t>(&handle_object);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* descriptor, cublasComputeType_t compute, cudaDataType factors) {
    if (compute != CUBLAS_COMPUTE_32F || factors != CUDA_R_32F) {
        report("cublasLtMatmulDescCreate: sums of type %d with factors of type %d; wanted float32 without TF32", compute, factors);
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    Description* made = new Description{DESCRIPTION_MARK, compute, factors, CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, 0};
    *descriptor = reinterpret_cast<cublasLtMatmulDesc_t>(made);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t descriptor) { return destroy<Description>(descriptor, DESCRIPTION_MARK, __func__); }

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t descriptor, cublasLtMatmulDescAttributes_t attribute, const void* value, size_t bytes) {
    Description* description = alive<Description>(descriptor, DESCRIPTION_MARK, __func__);
    if (!description) return CUBLAS_STATUS_INVALID_VALUE;
    switch (attribute) {
        case CUBLASLT_MATMUL_DESC_TRANSA:
            return read(description->a_operation, value, bytes, __func__);
        case CUBLASLT_MATMUL_DESC_TRANSB:
            return read(description->b_operation, value, bytes, __func__);
        case CUBLASLT_MATMUL_DESC_EPILOGUE:
            return read(description->epilogue, value, bytes, __func__);
        case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
            return read(description->bias, value, bytes, __func__);
        default:
            report("cublasLtMatmulDescSetAttribute: the attribute %d is not known here", attribute);
            return CUBLAS_STATUS_INVALID_VALUE;
    }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* descriptor, cudaDataType type, uint64_t rows, uint64_t columns, int64_t leading) {
    if (bytes_of(type) == 0 || rows == 0 || columns == 0 || leading < static_cast<int64_t>(rows)) {
        report(
            "cublasLtMatrixLayoutCreate: %lu columns of %lu values of type %d, %ld apart", static_cast<unsigned long>(columns),
            static_cast<unsigned long>(rows), type, static_cast<long>(leading));
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    *descriptor = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{LAYOUT_MARK, type, rows, columns, leading});
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t descriptor) { return destroy<Layout>(descriptor, LAYOUT_MARK, __func__); }

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* descriptor) {
    *descriptor = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference{PREFERENCE_MARK, 0, CUBLASLT_REDUCTION_SCHEME_MASK, {}});
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t descriptor) {
    return destroy<Preference>(descriptor, PREFERENCE_MARK, __func__);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(
    cublasLtMatmulPreference_t descriptor, cublasLtMatmulPreferenceAttributes_t attribute, const void* value, size_t bytes) {
    Preference* preference = alive<Preference>(descriptor, PREFERENCE_MARK, __func__);
    if (!preference) return CUBLAS_STATUS_INVALID_VALUE;
    switch (attribute) {
        case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
            return read(preference->workspace, value, bytes, __func__);
        case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
            return read(preference->reductions, value, bytes, __func__);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
            return read(preference->alignments[0], value, bytes, __func__);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
            return read(preference->alignments[1], value, bytes, __func__);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
            return read(preference->alignments[2], value, bytes, __func__);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
            return read(preference->alignments[3], value, bytes, __func__);
        default:
            report("cublasLtMatmulPreferenceSetAttribute: the attribute %d is not known here", attribute);
            return CUBLAS_STATUS_INVALID_VALUE;
    }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t handle, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
    cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference_descriptor, int wanted, cublasLtMatmulHeuristicResult_t* results, int* count) {
    Call call;
    const Preference* preference = alive<Preference>(preference_descriptor, PREFERENCE_MARK, __func__);
    if (!preference || !is_product(call, description, a, b, c, d, __func__)) return CUBLAS_STATUS_INVALID_VALUE;
    if (reinterpret_cast<char*>(handle) != &handle_object) report("cublasLtMatmulAlgoGetHeuristic: no handle");
    for (uint32_t alignment : preference->alignments) {
        if (alignment > 0 && alignment <= MOST_ALIGNED) continue;
        report("cublasLtMatmulAlgoGetHeuristic: an alignment of %u bytes; wanted 1 to %u, of every matrix", alignment, MOST_ALIGNED);
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    *count = 0;
    for (int number = 0; number < ALGORITHMS && *count < wanted; number++) {
        const Algorithm algorithm = proposal(call, *preference, number);
        if (algorithm.workspace > preference->workspace) continue;
        cublasLtMatmulHeuristicResult_t& result = results[(*count)++];
        memset(&result, 0, sizeof result);
        memcpy(&result.algo, &algorithm, sizeof algorithm);
        result.workspaceSize = algorithm.workspace;
        result.state = CUBLAS_STATUS_SUCCESS;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(
    const cublasLtMatmulAlgo_t* opaque, cublasLtMatmulAlgoConfigAttributes_t attribute, void* value, size_t bytes, size_t* written) {
    Algorithm algorithm;
    memcpy(&algorithm, opaque, sizeof algorithm);
    uint32_t found = 0;
    switch (attribute) {
        case CUBLASLT_ALGO_CONFIG_SPLITK_NUM:
            found = splits(algorithm) ? 3 : 1;
            break;
        case CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME:
            found = splits(algorithm) ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE : CUBLASLT_REDUCTION_SCHEME_NONE;
            break;
        default:
            report("cublasLtMatmulAlgoConfigGetAttribute: the attribute %d is not known here", attribute);
            return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (algorithm.mark != ALGORITHM_MARK || bytes != sizeof found) {
        report("cublasLtMatmulAlgoConfigGetAttribute: of no algorithm, or into %zu bytes", bytes);
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    memcpy(value, &found, sizeof found);
    if (written) *written = sizeof found;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(
    cublasLtHandle_t handle, cublasLtMatmulDesc_t description, const void* alpha_pointer, const void* a_pointer, cublasLtMatrixLayout_t a_layout,
    const void* b_pointer, cublasLtMatrixLayout_t b_layout, const void* beta_pointer, const void* c_pointer, cublasLtMatrixLayout_t c_layout, void* d_pointer,
    cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* opaque, void* workspace, size_t workspace_bytes, cudaStream_t stream_handle) {
    Locked locked(lock());
    Stream* stream = stream_of(stream_handle, __func__);
    Call call;
    if (!stream || !is_product(call, description, a_layout, b_layout, c_layout, d_layout, __func__)) return CUBLAS_STATUS_INVALID_VALUE;
    if (reinterpret_cast<char*>(handle) != &handle_object) report("cublasLtMatmul: no handle");

    const void* pointers[] = {a_pointer, b_pointer, c_pointer, d_pointer};
    uint64_t addresses[MATRICES];
    for (int matrix = 0; matrix < MATRICES; matrix++) addresses[matrix] = reinterpret_cast<uint64_t>(pointers[matrix]);
    Algorithm algorithm;
    memcpy(&algorithm, opaque, sizeof algorithm);
    if (!is_for(algorithm, call, addresses, workspace_bytes)) return CUBLAS_STATUS_INVALID_VALUE;
    const Matrix work{reinterpret_cast<uint64_t>(workspace), CUDA_R_32F, workspace_bytes / sizeof(float), 1, 0};
    if (work.address % WORKSPACE_ALIGNMENT != 0) report("cublasLtMatmul: the workspace is at no multiple of %zu", WORKSPACE_ALIGNMENT);

    const auto described = [&](int matrix, const Layout& layout) {
        return Matrix{addresses[matrix], layout.type, layout.rows, layout.columns, layout.leading};
    };
    const Matrix a = described(0, *call.a), b = described(1, *call.b), c = described(2, *call.c), d = described(3, *call.d);
    const Description product = *call.description;
    const Matrix bias{product.bias, d.type, d.rows, 1, 0};
    const bool has_bias = product.epilogue & CUBLASLT_EPILOGUE_BIAS, has_gelu = product.epilogue & CUBLASLT_EPILOGUE_GELU;
    float alpha, beta;
    memcpy(&alpha, alpha_pointer, sizeof alpha);
    memcpy(&beta, beta_pointer, sizeof beta);
    // What is multiplied by 0 is not read.
    const bool adds = beta != 0;
    const bool are_there = is_there(a, "A") && is_there(b, "B") && is_there(d, "D") && is_there(work, "the workspace of products") &&
        (!adds || is_there(c, "C")) && (!has_bias || is_there(bias, "a bias"));
    if (!are_there) return CUBLAS_STATUS_INVALID_VALUE;

    enqueue(*stream, {[=] {
        const std::vector<float> sums = multiplied(a, true, b, false);
        for (uint64_t column = 0; column < d.columns; column++) {
            for (uint64_t row = 0; row < d.rows; row++) {
                float sum = alpha * sums[column * d.rows + row];
                if (adds) sum += beta * value(c, row, column);
                if (has_bias) sum += value(bias, row, 0);
                set_value(d, row, column, has_gelu ? gelu(sum) : sum);
            }
        }
    }});
    return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
