// render on the CPU: loops over rows around the arithmetic of pixel.cuh. Plain C interface for ctypes.
// What is constant along a row is hoisted, positions along x are tabulated per frame, and the inner loops are plain
// enough for the compiler to vectorise.
#include "host_rows.h"

namespace {

const int PREFETCH_ROWS = 3;    // output rows between the one in work and the one whose source is fetched

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

template <int CH> GPUAUG_FN void tabulate(Tap& tap, int outputs, int width) {
    const Axis axis = tap.axes[1];
    Lerp a = sample(axis, 0, outputs, width), b = sample(axis, outputs - 1, outputs, width);
    const int begin = a.first < b.first ? a.first : b.first, last = a.second > b.second ? a.second : b.second;
    tap.begin = begin * CH;
    tap.values = (last - begin + 1) * CH;
    for (int x = 0; x < outputs; ++x) {
        Lerp s = sample(axis, x, outputs, width);
        tap.left[x] = (s.first - begin) * CH;
        tap.part[x] = s.second > s.first ? s.part : 0.f;
    }
}

// Source rows are too far apart for the processor to fetch them unasked.
GPUAUG_FN void prefetch(const Tap& tap, int y, int height) {
#if defined(__GNUC__)
    const Lerp s = sample(tap.axes[0], y, height, tap.height);
    const u8* bottom = tap.frame + s.second * tap.row_stride + tap.begin;
    for (int i = 0; i < tap.values; i += 64) __builtin_prefetch(bottom + i);
    if (tap.axes[0].step <= 1.f && tap.axes[0].step >= -1.f) return;  // the top row was another output row's bottom one
    const u8* top = tap.frame + s.first * tap.row_stride + tap.begin;
    for (int i = 0; i < tap.values; i += 64) __builtin_prefetch(top + i);
#else
    (void)tap, (void)y, (void)height;
#endif
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
                const Lerp s = sample(tap.axes[0], y, height, tap.height);
                const u8* top = tap.frame + s.first * tap.row_stride + tap.begin;
                const u8* bottom = tap.frame + s.second * tap.row_stride + tap.begin;
                const float b = tap.weight * s.part, a = tap.weight - b;
                prefetch(tap, y + PREFETCH_ROWS < height ? y + PREFETCH_ROWS : y, height);
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

}  // namespace

// dtype: 0 uint8, 1 float16, 2 bfloat16, 3 float32. Returns 0, or 1 where there is no memory for scratch rows.
EXPORT int gpuaug_render(const char* bytes, int dtype, int threads) {
    const RenderJob& job = *(const RenderJob*)bytes;
    void (*const frame[])(const char*, i64, char*) = {render_u8, render_half, render_bfloat, render_float};
    return for_frames(job.n * job.t, threads, render_scratch(job), [=](i64 nt, char* s) { frame[dtype](bytes, nt, s); });
}
