// Renders a batch of plans. TYPE, CHANNELS, TAPS (0: any number) and LAYOUT, THREADS and ITEMS come from cuda.py. A thread makes ROWS
// pixels, one below the other, whose loads do not wait for one another; a block of THREADS threads makes that many
// neighbouring columns, counted on through the output frame's groups of ROWS rows, so that a warp reads neighbouring
// source pixels. The pixels pass through shared memory, and leave it 16 bytes at a time.
#include "pixel.cuh"
#include "vector.cuh"

#define ROWS ITEMS
#define LANES (16 / (int)sizeof(TYPE))
#define STRIDED 0  // LAYOUT of the output: any strides; no shared memory
#define PLANAR 1   // the pixels of a channel in one run: NCTHW, NTCHW
#define PACKED 2   // pixels in one run, channels innermost: NTHWC
#define RUNS (LAYOUT == PACKED ? 1 : CHANNELS)      // per row of the output
#define SPAN (LAYOUT == PACKED ? CHANNELS : 1)      // elements per pixel in one of them
#define PIXELS (THREADS * ROWS)

// Two neighbours of a row of pixels, as the lowest bits of 32.
struct Pair { u32 left, right; };

// Columns of a source row that a thread reads: where they begin, in bytes, and which pixels of the pair there.
struct Columns { i64 begin; u32 reach; bool left_second, right_second; float part; };

GPUAUG_FN Columns columns(const Axis& axis, int x, int outputs, int width) {
    const Lerp s = sample(axis, x, outputs, width);
    const int last = width > 1 ? width - 2 : 0, pair = s.first < last ? s.first : last;
    return {(i64)pair * CHANNELS, width > 1 ? 2u * CHANNELS - 1 : CHANNELS - 1u, s.first != pair, s.second != pair, s.part};
}

GPUAUG_FN Pair fetch(const u8* row, const Columns& c) {
    const u8* begin = row + c.begin;
#if CHANNELS == 3
    // Three aligned words, each of which holds a byte of the pair: nothing outside the frame's memory is touched.
    const u32 inside = (u32)(u64)begin & 3, reach = (inside + c.reach) & ~3u;
    const u8* word = begin - inside;
    const u32 w0 = *(const u32*)word, w1 = *(const u32*)(word + (reach < 4 ? reach : 4)), w2 = *(const u32*)(word + reach);
    const u32 low = (u32)(((u64)w1 << 32 | w0) >> 8 * inside), high = (u32)(((u64)w2 << 32 | w1) >> 8 * inside);
    const u32 second = low >> 24 | high << 8;
    return {c.left_second ? second : low, c.right_second ? second : low};
#else
    const u32 first = begin[0], second = begin[c.reach];
    return {c.left_second ? second : first, c.right_second ? second : first};
#endif
}

GPUAUG_FN float channel(u32 pixel, int c) { return load((u8)(pixel >> 8 * c)); }

struct Place { u32 n, t, nt, begin; TYPE* frame; };  // begin: column of the block, counted through the groups of rows

GPUAUG_FN Place place(const RenderJob& job, u32 block, i64 blocks_per_frame) {
    const u32 nt = block / (u32)blocks_per_frame, n = nt / (u32)job.t, t = nt - n * (u32)job.t;
    const u32 begin = (block - nt * (u32)blocks_per_frame) * THREADS;
    return {n, t, nt, begin, (TYPE*)job.out + n * job.out_n + t * job.out_t};
}

// The pixels of one thread, into the tile [RUNS][ROWS][THREADS * SPAN].
GPUAUG_FN void make(const char* bytes, u32 block, int thread, i64 blocks_per_frame, TYPE* tile) {
    const RenderJob& job = *(const RenderJob*)bytes;
    const Place p = place(job, block, blocks_per_frame);
    const int taps = TAPS ? TAPS : (int)job.k, width = (int)job.x, height = (int)job.y;
    const u32 column = p.begin + thread, group = column / (u32)width;
    const int x = (int)(column - group * (u32)width), y = (int)group * ROWS;
    if (y >= height) return;

    float value[ROWS][CHANNELS];
#pragma unroll
    for (int r = 0; r < ROWS; ++r)
        for (int c = 0; c < CHANNELS; ++c) value[r][c] = 0.f;
    for (int k = 0; k < taps; ++k) {
        const i64 tap = (i64)p.nt * taps + k;
        const RenderSource source = find_clip<RenderSource>(bytes, job.taps, tap);
        if (source.address == 0) continue;
        const Axis* axes = at<Axis>(bytes, job.axes) + 2 * (p.n * job.axes_n + p.t * job.axes_t + k * job.axes_k);
        const Axis down = axes[0];
        const Columns across = columns(axes[1], x, width, (int)source.width);
        const u8* frame = (const u8*)source.address + at<int>(bytes, job.taps.frame)[tap] * source.frame_stride;
        const float weight = at<float>(bytes, job.taps.weight)[tap];
        Pair top[ROWS], bottom[ROWS];
        float part[ROWS];
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {  // below the picture the last row once more: a branch would hold the loads up
            const Lerp s = sample(down, y + r < height ? y + r : height - 1, height, (int)source.height);
            top[r] = fetch(frame + s.first * source.row_stride, across);
            bottom[r] = fetch(frame + s.second * source.row_stride, across);
            part[r] = s.part;
        }
#pragma unroll
        for (int r = 0; r < ROWS; ++r)
            for (int c = 0; c < CHANNELS; ++c) {
                const float left = mix(channel(top[r].left, c), channel(bottom[r].left, c), part[r]);
                const float right = mix(channel(top[r].right, c), channel(bottom[r].right, c), part[r]);
                value[r][c] += weight * mix(left, right, across.part);
            }
    }

    const float* matrix = at<float>(bytes, job.colors) + p.n * job.colors_n * CHANNELS * (CHANNELS + 1);
    float rows[CHANNELS * (CHANNELS + 1)];
    for (int i = 0; i < CHANNELS * (CHANNELS + 1); ++i) rows[i] = matrix[i];
#pragma unroll
    for (int r = 0; r < ROWS; ++r)
        for (int c = 0; c < CHANNELS; ++c) {
            const float* row = rows + c * (CHANNELS + 1);
            const float out = job.diagonal ? row[CHANNELS] + row[c] * value[r][c] : color<CHANNELS>(rows, value[r], c);
#if LAYOUT == STRIDED
            if (y + r < height) p.frame[c * job.out_c + (y + r) * job.out_y + x * job.out_x] = Cast<TYPE>::of(out);
#else
            const int run = LAYOUT == PLANAR ? c : 0, within = LAYOUT == PLANAR ? thread : thread * CHANNELS + c;
            tile[(run * ROWS + r) * THREADS * SPAN + within] = Cast<TYPE>::of(out);
#endif
        }
}

// The tile of a block to the output, by runs of THREADS * SPAN elements.
GPUAUG_FN void put(const char* bytes, u32 block, int thread, i64 blocks_per_frame, const TYPE* tile) {
    const RenderJob& job = *(const RenderJob*)bytes;
    const Place p = place(job, block, blocks_per_frame);
    const u32 width = (u32)job.x * SPAN, begin = p.begin * SPAN;  // elements
    const i64 plane = LAYOUT == PLANAR ? job.out_c : 0;
    const bool words = aligned(p.frame) && width % LANES == 0 && plane % LANES == 0;
    const int step = words ? LANES : 1, per_run = THREADS * SPAN / step;
#pragma unroll 1
    for (int i = thread; i < RUNS * ROWS * per_run; i += THREADS) {
        const int run = i / per_run, within = (i - run * per_run) * step;
        const u32 element = begin + within, group = element / width;
        const int y = (int)group * ROWS + run % ROWS;
        if (y >= (int)job.y) continue;
        TYPE* to = p.frame + (run / ROWS) * plane + (i64)y * width + (element - group * width);
        const TYPE* from = tile + run * THREADS * SPAN + within;
        if (words)
            *(uint4*)to = *(const uint4*)from;
        else
            *to = *from;
    }
}

#if defined(__CUDACC_RTC__)  // the tests run make and put by themselves: a CPU has no barrier
extern "C" __global__ void __launch_bounds__(THREADS) gpuaug_render(const char* bytes, i64 blocks_per_frame) {
#if LAYOUT == STRIDED
    make(bytes, blockIdx.x, (int)threadIdx.x, blocks_per_frame, 0);
#else
    __shared__ uint4 tile[PIXELS * CHANNELS / LANES];
    make(bytes, blockIdx.x, (int)threadIdx.x, blocks_per_frame, (TYPE*)tile);
    __syncthreads();
    put(bytes, blockIdx.x, (int)threadIdx.x, blocks_per_frame, (const TYPE*)tile);
#endif
}
#endif
