// blend and render on the CPU: loops over rows around the arithmetic of pixel.cuh. Plain C interface for ctypes.
// What is constant along a row is hoisted, positions along x are tabulated per frame, and the inner loops are plain
// enough for the compiler to vectorise. Both functions return 0, or 1 where they cannot get their scratch memory.
#include <new>

#include "pixel.cuh"

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__linux__)
#include <sys/mman.h>
#endif

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif
#define RESTRICT __restrict

// One copy per instruction set; the loader picks the best one that the processor has.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && __GNUC__ >= 12 && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

namespace {

const int PAD = 64;     // floats of scratch memory beyond the end of a row
const int AHEAD = 3;    // output rows between the one in work and the one whose source is fetched
const int BLOCK = 512;  // elements blended at a time

// Runs work(nt, scratch) for every output frame, on `threads` threads with `bytes` of scratch memory each.
template <typename Work> int for_frames(i64 frames, int threads, i64 bytes, Work work) {
    bytes = (bytes + 63) / 64 * 64;
    char* memory = new (std::nothrow) char[(size_t)(threads * bytes)];
    if (!memory) return 1;
#if defined(_OPENMP)
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (i64 nt = 0; nt < frames; ++nt) work(nt, memory + omp_get_thread_num() * bytes);
#else
    for (i64 nt = 0; nt < frames; ++nt) work(nt, memory);
#endif
    delete[] memory;
    return 0;
}

// ---- render ---------------------------------------------------------------------------------------------------------

struct Tap {
    const u8* frame;
    i64 row_stride;
    int height;
    float weight;
    const Axis* axes;
    int leader;         // the first tap that reads the same columns: their rows are mixed first, and then sampled once
    int begin, values;  // the part of every source row that is read
    int* left;          // per output pixel: where its left source pixel begins in the mixed row …
    float* part;        // … and the weight of the right one
};

struct Rows {  // scratch memory; every row has PAD floats to spare
    float* source;  // a source row, taps and rows mixed
    float* pixels;  // an output row
    float* planes;  // … normalised
    float* typed;   // … cast
};

// row (+)= a * top + b * bottom
template <bool FIRST>
GPUAUG_FN void mix_rows(float* RESTRICT row, const u8* RESTRICT top, const u8* RESTRICT bottom, float a, float b, int n) {
    for (int i = 0; i < n; ++i) {
        float value = a * load(top[i]) + b * load(bottom[i]);
        row[i] = FIRST ? value : row[i] + value;
    }
}

// pixels (+)= row at the tabulated positions. STRIDE is 4 for 3 channels: the fourth float moves along unused.
template <bool FIRST, int CH, int STRIDE>
GPUAUG_FN void sample_row(float* RESTRICT pixels, const float* RESTRICT row, const Tap& tap, int n) {
    const int* RESTRICT left = tap.left;
    const float* RESTRICT parts = tap.part;
    for (int x = 0; x < n; ++x) {
        const float* pixel = row + left[x];
        const float part = parts[x];
        for (int c = 0; c < STRIDE; ++c) {
            float value = mix(pixel[c], pixel[c + CH], part);
            pixels[x * STRIDE + c] = FIRST ? value : pixels[x * STRIDE + c] + value;
        }
    }
}

// pixels = matrix · pixels
template <int CH, int STRIDE> GPUAUG_FN void color_row(float* RESTRICT pixels, const float* RESTRICT matrix, int n) {
    for (int x = 0; x < n; ++x) {
        float value[CH];
        for (int c = 0; c < CH; ++c) value[c] = color<CH>(matrix, pixels + x * STRIDE, c);
        for (int c = 0; c < CH; ++c) pixels[x * STRIDE + c] = value[c];
    }
}

// Three planes = scale · pixels + shift
GPUAUG_FN void split_row(float* RESTRICT r, float* RESTRICT g, float* RESTRICT b, const float* scale, const float* shift,
                         const float* RESTRICT pixels, int n) {
    const float r1 = scale[0], g1 = scale[1], b1 = scale[2], r0 = shift[0], g0 = shift[1], b0 = shift[2];
    for (int x = 0; x < n; ++x) {
        r[x] = r1 * pixels[4 * x] + r0;
        g[x] = g1 * pixels[4 * x + 1] + g0;
        b[x] = b1 * pixels[4 * x + 2] + b0;
    }
}

// Whole blocks only, so that no rest is left to be cast one by one: n is rounded up to a multiple of PAD.
template <typename Out> GPUAUG_FN void cast_row(Out* RESTRICT out, const float* RESTRICT values, int n) {
    n = (n + PAD - 1) / PAD * PAD;
    for (int i = 0; i < n; ++i) out[i] = Cast<Out>::of(values[i]);
}

// out = cast(scale · pixels + shift), planes of pixels or pixels of channels or any other steps
template <typename Out, int CH, int STRIDE>
GPUAUG_FN void write_row(Out* out, i64 step_c, i64 step_x, const float* scale, const float* shift, const Rows& rows, int n) {
    if (CH == 3 && step_x == 1) {
        if constexpr (sizeof(Out) == sizeof(float)) {
            split_row(out, out + step_c, out + 2 * step_c, scale, shift, rows.pixels, n);
        } else {
            Out* typed = (Out*)rows.typed;
            split_row(rows.planes, rows.planes + n, rows.planes + 2 * n, scale, shift, rows.pixels, n);
            cast_row(typed, rows.planes, 3 * n);
            for (int c = 0; c < 3; ++c) memcpy((void*)(out + c * step_c), typed + c * n, (size_t)n * sizeof(Out));
        }
        return;
    }
    float* RESTRICT planes = rows.planes;
    const float* RESTRICT pixels = rows.pixels;
    for (int x = 0; x < n; ++x)
        for (int c = 0; c < STRIDE; ++c) planes[x * STRIDE + c] = scale[c] * pixels[x * STRIDE + c] + shift[c];
    Out* RESTRICT typed = (Out*)rows.typed;
    cast_row(typed, planes, STRIDE * n);
    for (int x = 0; x < n; ++x)
        for (int c = 0; c < CH; ++c) out[x * step_x + c * step_c] = typed[x * STRIDE + c];
}

template <int CH> GPUAUG_FN void tabulate(Tap& tap, int outputs, int width) {
    const Axis axis = tap.axes[1];
    Sample a = sample(axis, 0, outputs, width), b = sample(axis, outputs - 1, outputs, width);
    const int begin = a.first < b.first ? a.first : b.first, last = a.second > b.second ? a.second : b.second;
    tap.begin = begin * CH;
    tap.values = (last - begin + 1) * CH;
    for (int x = 0; x < outputs; ++x) {
        Sample s = sample(axis, x, outputs, width);
        tap.left[x] = (s.first - begin) * CH;
        tap.part[x] = s.second > s.first ? s.part : 0.f;
    }
}

// Source rows are too far apart for the processor to fetch them unasked.
GPUAUG_FN void prefetch(const Tap& tap, int y, int height) {
#if defined(__GNUC__)
    const u8* row = tap.frame + sample(tap.axes[0], y, height, tap.height).second * tap.row_stride + tap.begin;
    for (int i = 0; i < tap.values; i += 64) __builtin_prefetch(row + i);
#else
    (void)tap, (void)y, (void)height;
#endif
}

bool equal(const Axis& a, const Axis& b) {
    return a.base == b.base && a.start == b.start && a.step == b.step && a.low == b.low && a.high == b.high;
}

i64 render_scratch(const RenderJob& job) {
    const i64 rows = job.widest * job.c + 3 * 4 * job.x + 4 * PAD, tables = 2 * job.k * job.x;
    return (i64)sizeof(float) * (rows + tables) + job.k * (i64)sizeof(Tap);
}

template <typename Out, int CH> GPUAUG_FN void render_frame(const char* bytes, i64 nt, char* scratch) {
    const RenderJob& job = *(const RenderJob*)bytes;
    const int STRIDE = CH == 3 ? 4 : CH;
    const i64 n = nt / job.t, t = nt % job.t;
    const int width = (int)job.x, height = (int)job.y;
    Tap* taps = (Tap*)scratch;
    float* memory = (float*)(taps + job.k);
    float* output = memory + job.widest * CH + PAD;
    const i64 step = 4 * (i64)width + PAD;
    const Rows rows = {memory, output, output + step, output + 2 * step};
    float* tables = output + 3 * step;

    int visible = 0;
    for (int k = 0; k < (int)job.k; ++k) {
        const i64 i = nt * job.k + k;
        const RenderSource source = find_clip<RenderSource>(bytes, job.taps, i);
        if (source.address == 0) continue;
        Tap& tap = taps[visible];
        tap.frame = (const u8*)source.address + at<int>(bytes, job.taps.frame)[i] * source.frame_stride;
        tap.row_stride = source.row_stride;
        tap.height = (int)source.height;
        tap.weight = at<float>(bytes, job.taps.weight)[i];
        tap.axes = at<Axis>(bytes, job.axes) + 2 * (n * job.axes_n + t * job.axes_t + k * job.axes_k);
        tap.part = tables + 2 * (i64)width * visible;
        tap.left = (int*)(tap.part + width);
        tabulate<CH>(tap, width, (int)source.width);
        tap.leader = visible;
        for (int j = visible - 1; j >= 0; --j)
            if (equal(taps[j].axes[1], tap.axes[1]) && taps[j].values == tap.values && taps[j].begin == tap.begin)
                tap.leader = taps[j].leader;
        ++visible;
    }

    const float* matrix = at<float>(bytes, job.colors) + n * job.colors_n * CH * (CH + 1);
    Out* out = (Out*)job.out + n * job.out_n + t * job.out_t;
    float scale[4] = {0.f, 0.f, 0.f, 0.f}, shift[4] = {0.f, 0.f, 0.f, 0.f};
    for (int c = 0; c < CH; ++c) {
        scale[c] = job.diagonal ? matrix[c * (CH + 1) + c] : 1.f;
        shift[c] = job.diagonal ? matrix[c * (CH + 1) + CH] : 0.f;
    }
    if (!visible)
        for (int i = 0; i < width * STRIDE; ++i) rows.pixels[i] = 0.f;
    for (int y = 0; y < height; ++y) {
        for (int leader = 0; leader < visible; ++leader) {
            if (taps[leader].leader != leader) continue;
            const int values = taps[leader].values;
            for (int k = leader; k < visible; ++k) {
                const Tap& tap = taps[k];
                if (tap.leader != leader) continue;
                const Sample s = sample(tap.axes[0], y, height, tap.height);
                const u8* top = tap.frame + s.first * tap.row_stride + tap.begin;
                const u8* bottom = tap.frame + s.second * tap.row_stride + tap.begin;
                const float b = tap.weight * s.part, a = tap.weight - b;
                prefetch(tap, y + AHEAD < height ? y + AHEAD : y, height);
                if (k == leader)
                    mix_rows<true>(rows.source, top, bottom, a, b, values);
                else
                    mix_rows<false>(rows.source, top, bottom, a, b, values);
            }
            for (int i = 0; i < 4; ++i) rows.source[values + i] = 0.f;  // read with weight 0, so it must be finite
            if (leader == 0)
                sample_row<true, CH, STRIDE>(rows.pixels, rows.source, taps[leader], width);
            else
                sample_row<false, CH, STRIDE>(rows.pixels, rows.source, taps[leader], width);
        }
        if (!job.diagonal) color_row<CH, STRIDE>(rows.pixels, matrix, width);
        write_row<Out, CH, STRIDE>(out + y * job.out_y, job.out_c, job.out_x, scale, shift, rows, width);
    }
}

#define RENDER(NAME, OUT)                                             \
    CLONES void NAME(const char* job, i64 nt, char* scratch) {        \
        if (((const RenderJob*)job)->c == 1)                          \
            render_frame<OUT, 1>(job, nt, scratch);                   \
        else                                                          \
            render_frame<OUT, 3>(job, nt, scratch);                   \
    }
RENDER(render_u8, u8)
RENDER(render_half, Half)
RENDER(render_bfloat, BFloat)
RENDER(render_float, float)

// ---- blend ----------------------------------------------------------------------------------------------------------

struct BlendTap {
    const char* frame;
    BlendSource source;
    float weight;
};

// A run of elements along the last dimension; UNIT: every stride there is 1.
template <typename T, bool UNIT>
GPUAUG_FN void blend_run(T* RESTRICT out, i64 out_step, const BlendTap* taps, int visible, const i64* begins, i64 n) {
    const i64 so = UNIT ? 1 : out_step;
    const T* RESTRICT a = visible > 0 ? (const T*)taps[0].frame + begins[0] : 0;
    const T* RESTRICT b = visible > 1 ? (const T*)taps[1].frame + begins[1] : 0;
    const i64 sa = UNIT || visible < 1 ? 1 : taps[0].source.strides[5], sb = UNIT || visible < 2 ? 1 : taps[1].source.strides[5];
    const float wa = visible > 0 ? taps[0].weight : 0.f, wb = visible > 1 ? taps[1].weight : 0.f;
    if (visible == 1 && UNIT && wa == 1.f) {
        memcpy((void*)out, (const void*)a, (size_t)n * sizeof(T));
    } else if (visible == 1) {
        for (i64 i = 0; i < n; ++i) out[i * so] = Cast<T>::of(wa * load(a[i * sa]));
    } else if (visible == 2) {
        for (i64 i = 0; i < n; ++i) out[i * so] = Cast<T>::of(wa * load(a[i * sa]) + wb * load(b[i * sb]));
    } else {
        float sum[BLOCK];
        for (i64 begin = 0; begin < n; begin += BLOCK) {
            const int count = (int)(n - begin < BLOCK ? n - begin : BLOCK);
            for (int i = 0; i < count; ++i) sum[i] = 0.f;
            for (int k = 0; k < visible; ++k) {
                const T* RESTRICT from = (const T*)taps[k].frame + begins[k];
                const i64 step = UNIT ? 1 : taps[k].source.strides[5];
                for (int i = 0; i < count; ++i) sum[i] += taps[k].weight * load(from[(begin + i) * step]);
            }
            for (int i = 0; i < count; ++i) out[(begin + i) * so] = Cast<T>::of(sum[i]);
        }
    }
}

template <typename T> GPUAUG_FN void blend_frame(const char* bytes, i64 nt, char* scratch) {
    const BlendJob& job = *(const BlendJob*)bytes;
    BlendTap* taps = (BlendTap*)scratch;
    i64* begins = (i64*)(taps + job.k);
    int visible = 0;
    bool unit = job.out_strides[5] == 1;
    for (int k = 0; k < (int)job.k; ++k) {
        const i64 i = nt * job.k + k;
        const BlendSource source = find_clip<BlendSource>(bytes, job.taps, i);
        if (source.address == 0) continue;
        const T* frame = (const T*)source.address + at<int>(bytes, job.taps.frame)[i] * source.frame_stride;
        taps[visible] = {(const char*)frame, source, at<float>(bytes, job.taps.weight)[i]};
        unit = unit && source.strides[5] == 1;
        ++visible;
    }
    T* out = (T*)job.out + nt / job.t * job.out_n + nt % job.t * job.out_t;
    const i64 run = job.sizes[5], runs = job.per_frame / run;
    for (i64 r = 0; r < runs; ++r) {
        i64 to = 0, rest = r;
        for (int k = 0; k < visible; ++k) begins[k] = 0;
        for (int d = 4; d >= 0; --d) {
            if (job.sizes[d] == 1) continue;
            const i64 position = rest % job.sizes[d];
            rest /= job.sizes[d];
            to += position * job.out_strides[d];
            for (int k = 0; k < visible; ++k) begins[k] += position * taps[k].source.strides[d];
        }
        if (unit)
            blend_run<T, true>(out + to, 1, taps, visible, begins, run);
        else
            blend_run<T, false>(out + to, job.out_strides[5], taps, visible, begins, run);
    }
}

CLONES void blend_u8(const char* job, i64 nt, char* scratch) { blend_frame<u8>(job, nt, scratch); }
CLONES void blend_half(const char* job, i64 nt, char* scratch) { blend_frame<Half>(job, nt, scratch); }
CLONES void blend_bfloat(const char* job, i64 nt, char* scratch) { blend_frame<BFloat>(job, nt, scratch); }
CLONES void blend_float(const char* job, i64 nt, char* scratch) { blend_frame<float>(job, nt, scratch); }

}  // namespace

// dtype: 0 uint8, 1 float16, 2 bfloat16, 3 float32
EXPORT int gpuaug_render(const char* bytes, int dtype, int threads) {
    const RenderJob& job = *(const RenderJob*)bytes;
    void (*const frame[])(const char*, i64, char*) = {render_u8, render_half, render_bfloat, render_float};
    return for_frames(job.n * job.t, threads, render_scratch(job), [=](i64 nt, char* s) { frame[dtype](bytes, nt, s); });
}

EXPORT int gpuaug_blend(const char* bytes, int dtype, int threads) {
    const BlendJob& job = *(const BlendJob*)bytes;
    void (*const frame[])(const char*, i64, char*) = {blend_u8, blend_half, blend_bfloat, blend_float};
    const i64 scratch = job.k * (i64)(sizeof(BlendTap) + sizeof(i64));
    return for_frames(job.n * job.t, threads, scratch, [=](i64 nt, char* s) { frame[dtype](bytes, nt, s); });
}

// Asks for huge pages in new memory: faulting in a batch's 300 MB in pages of 4 KiB takes longer than rendering it.
EXPORT void gpuaug_new_memory(char* begin, i64 bytes) {
#if defined(__linux__)
    const i64 page = 2 << 20, first = ((i64)begin + page - 1) / page * page, end = ((i64)begin + bytes) / page * page;
    if (end > first) (void)madvise((void*)first, (size_t)(end - first), MADV_HUGEPAGE);  // where refused: as it was
#else
    (void)begin, (void)bytes;
#endif
}

EXPORT void* PyInit__host() { return nullptr; }  // loaded with ctypes; only Windows' linker asks for this name
