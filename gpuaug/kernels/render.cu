// Renders a batch of plans. TYPE, CHANNELS, TAPS (0: any number), LAYOUT, ONE (1: one tensor holds all clips), COLUMNS,
// ITEMS and THREADS come from cuda.py. A thread makes COLUMNS × ROWS neighbouring pixels of an output frame; threads
// are counted through the frame's groups of ROWS rows, so that a warp reads neighbouring source pixels and writes
// neighbouring output ones, straight from its registers. The grid is (blocks of a frame, T, N). What all threads share
// comes by value.
#include "pixel.cuh"
#include "vector.cuh"

#define ROWS ITEMS
#define STRIDED 0  // LAYOUT of the output: any strides
#define PLANAR 1   // columns lie side by side: NCTHW, NTCHW
#define PACKED 2   // pixels lie side by side, channels innermost: NTHWC

typedef float Values[ROWS][COLUMNS][CHANNELS];
typedef float Pairs[COLUMNS][2][CHANNELS];  // of source pixels, for the output pixels of a row

// Where two neighbouring output pixels lie in a row of the source. Each is a mix of a pair of source pixels; `low` is
// the pair nearer to the row's begin: of the right one where the box is mirrored.
struct Columns {
    int low, high;                // the pairs' first pixels
    float low_part, high_part;    // weights of their second ones
};

GPUAUG_FN Columns columns(const Axis& axis, int x, int outputs, int width) {
    const float j = (float)(axis.step < 0.f ? outputs - COLUMNS - x : x);
    const Lerp low = sample_at(axis, j, width), high = sample_at(axis, j + 1.f, width);
    const int last = width > 1 ? width - 2 : 0;
    const float edge = width > 1 ? 1.f : 0.f;  // the last pixel is the second one of the last pair
    Columns c;
    c.low = low.first < last ? low.first : last, c.high = high.first < last ? high.first : last;
    c.low_part = low.first <= last ? low.part : edge, c.high_part = high.first <= last ? high.part : edge;
    return c;
}

#if CHANNELS == 3
// The twelve bytes of both pairs: bytes 0 to 5 of the words shifted right by `shift` bits, and six from byte 3 * gap.
struct Bytes { u32 word[4]; };
struct Place { u32 full, shift, gap, first, second; };  // FULL_ROUND's bits, and selectors of the high pair's bytes

GPUAUG_FN Place place(u32 full, u32 lead, u32 gap) {
    return {full, 8 * lead, gap, 0x3210u + 0x1111u * (gap == 2 ? 2 : 3 * gap), 0x3210u + 0x3333u * gap};
}

// A pair of pixels anywhere: the three words of which each holds a byte of it, so that no word is read without one.
GPUAUG_FN void read_pair(const u8* begin, u32 last, u32& four, u32& two) {
    const u32 inside = (u32)(u64)begin & 3, reach = (inside + last) & ~3u;
    const u8* word = begin - inside;
    const u32 w0 = read_word(word), w1 = read_word(word + (reach < 4 ? reach : 4)), w2 = read_word(word + reach);
    four = funnel(w0, w1, 8 * inside), two = funnel(w1, w2, 8 * inside);
}

GPUAUG_FN Bytes read_apart(const u8* row, const Columns& c, u32 last) {
    u32 four, two, high_four, high_two;
    read_pair(row + 3 * (i64)c.low, last, four, two);
    read_pair(row + 3 * (i64)c.high, last, high_four, high_two);
    return {four, bytes_of(two, high_four, 0x5410u), bytes_of(high_four, high_two, 0x5432u), 0};
}

// mix(top, bottom, part) of the low pair's and the high pair's pixels.
GPUAUG_FN void mix_rows(const Bytes& top, const Bytes& bottom, const Place& at, float part, Pairs& pixel) {
    u32 row[2][4];
    for (int e = 0; e < 2; ++e) {
        const u32* w = e ? bottom.word : top.word;
        const u32 a = funnel(w[0], w[1], at.shift), b = funnel(w[1], w[2], at.shift), c = funnel(w[2], w[3], at.shift);
        row[e][0] = a, row[e][1] = b;
        row[e][2] = bytes_of(at.gap == 2 ? b : a, at.gap == 2 ? c : b, at.first);
        row[e][3] = bytes_of(b, c, at.second);
    }
    for (int p = 0; p < COLUMNS; ++p)
        for (int i = 0; i < 2 * CHANNELS; ++i) {
            const int word = 2 * p + i / 4;
            const float t = biased(row[0][word], i % 4, at.full), b = biased(row[1][word], i % 4, at.full);
            pixel[p][i / CHANNELS][i % CHANNELS] = fused(part, b - t, t - FULL_ROUND);
        }
}
#else
struct Bytes { u32 word; };
struct Place { u32 full; };

GPUAUG_FN Bytes read_apart(const u8* row, const Columns& c, u32 last) {
    const u8 *low = row + c.low, *high = row + c.high;
    return {read_byte(low) | read_byte(low + last) << 8 | read_byte(high) << 16 | read_byte(high + last) << 24};
}

GPUAUG_FN void mix_rows(const Bytes& top, const Bytes& bottom, const Place& at, float part, Pairs& pixel) {
    for (int i = 0; i < 4; ++i) {
        const float t = biased(top.word, i, at.full), b = biased(bottom.word, i, at.full);
        pixel[i / 2][i % 2][0] = fused(part, b - t, t - FULL_ROUND);
    }
}
#endif

struct alignas(16) Axes { Axis down, across; };
struct alignas(CHANNELS == 3 ? 16 : 8) Matrix { float of[CHANNELS * (CHANNELS + 1)]; };

GPUAUG_FN void clear(Values& value) {
#pragma unroll
    for (int r = 0; r < ROWS; ++r)
        for (int c = 0; c < COLUMNS; ++c)
            for (int i = 0; i < CHANNELS; ++i) value[r][c][i] = 0.f;
}

GPUAUG_FN void swap(Values& value) {
#pragma unroll
    for (int r = 0; r < ROWS; ++r)
        for (int c = 0; c < CHANNELS; ++c) {
            const float kept = value[r][0][c];
            value[r][0][c] = value[r][1][c], value[r][1][c] = kept;
        }
}

// Adds one tap to the pixels, or sets them where it is the ONLY one. Their columns stand in the order of the source.
template <bool ONLY>
GPUAUG_FN void add_tap(const RenderLaunch& p, const u8* frame, const RenderSource& source, const Axes& axes,
                       float weight, int x, int y, Values& value) {
    const RenderJob& job = p.job;
    const int width = (int)source.width, height = (int)source.height;
    const Columns c = columns(axes.across, x, (int)job.x, width);
    const bool upwards = axes.down.step < 0.f;
    const float j = (float)(upwards ? (int)job.y - 1 - y : y), step = upwards ? -1.f : 1.f;
    Lerp rows[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; ++r)  // below the picture the last row once more
        rows[r] = sample_at(axes.down, fused((float)r, step, j), height);

    const u32 full = to_bits(axes.across.full), last = (u32)(width > 1 ? 2 * CHANNELS - 1 : CHANNELS - 1);
    Bytes top[ROWS], bottom[ROWS];
    Place at;
#if CHANNELS == 3
    const u32 begin = 3u * (u32)c.low, word = begin & ~3u, gap = (u32)(c.high - c.low);
    const int lowest = rows[0].second > rows[ROWS - 1].second ? rows[0].second : rows[ROWS - 1].second;
    // Four words may reach into the row below; there is none below the last.
    if ((int)p.words && gap <= 2 && (word + 16 <= ((3u * (u32)width + 3) & ~3u) || lowest < height - 1)) {
        at = place(full, begin - word, gap);
        const u8* column = whole(frame + word);
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            const u8* above = ahead(column, (u32)rows[r].first, (u32)source.row_stride);
            const u8* below = ahead(column, (u32)rows[r].second, (u32)source.row_stride);
            for (int i = 0; i < 4; ++i) {
                top[r].word[i] = read_word(above + 4 * i);
                bottom[r].word[i] = read_word(below + 4 * i);
            }
        }
    } else {  // rows anywhere, columns far from each other
        block<APART>();
        at = place(full, 0, 2);
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            top[r] = read_apart(frame + rows[r].first * source.row_stride, c, last);
            bottom[r] = read_apart(frame + rows[r].second * source.row_stride, c, last);
        }
    }
#else
    at.full = full;
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        top[r] = read_apart(frame + rows[r].first * source.row_stride, c, last);
        bottom[r] = read_apart(frame + rows[r].second * source.row_stride, c, last);
    }
#endif
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        Pairs pixel;
        mix_rows(top[r], bottom[r], at, rows[r].part, pixel);
        for (int p = 0; p < COLUMNS; ++p)
            for (int i = 0; i < CHANNELS; ++i) {
                const float mixed = mix(pixel[p][0][i], pixel[p][1][i], p ? c.high_part : c.low_part);
                value[r][p][i] = ONLY ? weight * mixed : fused(weight, mixed, value[r][p][i]);
            }
    }
}

template <bool MIXED> GPUAUG_FN float shade(const Matrix& matrix, const float pixel[CHANNELS], int i) {
    const float* row = matrix.of + i * (CHANNELS + 1);
    return MIXED ? color<CHANNELS>(matrix.of, pixel, i) : fused(row[i], pixel[i], row[CHANNELS]);
}

// Two values to the output, when it has pairs of them. `frame` is the same for a block, the rest a thread's.
GPUAUG_FN void put_pair(char* frame, u32 offset, float first, float second) {
    *(typename Two<TYPE>::Word*)(frame + offset) = Two<TYPE>::of(first, second);
}

// The pixels as pairs of neighbours; SWAPPED: they stand the other way round; MIXED: the matrix is not diagonal.
template <bool SWAPPED, bool MIXED>
GPUAUG_FN void put_pairs(const RenderJob& job, char* frame, int x, int y, const Matrix& matrix, const Values& value) {
    const u32 size = (u32)sizeof(TYPE), step = (u32)job.out_y * size;
    const u32 begin = (u32)y * step + (u32)x * (u32)job.out_x * size;
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        if (y + r >= (int)job.y) break;
        float shown[COLUMNS][CHANNELS];
        for (int c = 0; c < COLUMNS; ++c)
            for (int i = 0; i < CHANNELS; ++i) shown[c][i] = shade<MIXED>(matrix, value[r][SWAPPED ? 1 - c : c], i);
        for (int i = 0; i < (LAYOUT == PLANAR ? CHANNELS : 0); ++i)
            put_pair(frame + i * job.out_c * sizeof(TYPE), begin + r * step, shown[0][i], shown[1][i]);
        for (int i = 0; i < (LAYOUT == PACKED ? 2 * CHANNELS : 0); i += 2) {
            const float a = shown[i / CHANNELS][i % CHANNELS], b = shown[(i + 1) / CHANNELS][(i + 1) % CHANNELS];
            put_pair(frame + i * sizeof(TYPE), begin + r * step, a, b);
        }
    }
}

// The pixels anywhere, with any matrix.
GPUAUG_FN void put_apart(const RenderJob& job, TYPE* frame, int x, int y, const Matrix& matrix, bool swapped,
                         const Values& value) {
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        if (y + r >= (int)job.y) break;
        TYPE* to = frame + (y + r) * job.out_y + x * job.out_x;
        for (int c = 0; c < COLUMNS; ++c) {
            if (x + c >= (int)job.x) break;
            float pixel[CHANNELS];
            for (int i = 0; i < CHANNELS; ++i) pixel[i] = swapped ? value[r][1 - c][i] : value[r][c][i];
            for (int i = 0; i < CHANNELS; ++i) {
                const float shown = job.diagonal ? shade<false>(matrix, pixel, i) : shade<true>(matrix, pixel, i);
                to[i * job.out_c + c * job.out_x] = Cast<TYPE>::of(shown);
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) gpuaug_render(const __grid_constant__ RenderLaunch p) {
    const RenderJob& job = p.job;
    const char* bytes = (const char*)p.bytes;
    const u32 thread = blockIdx.x * THREADS + threadIdx.x;
    const u32 group = (u32)((u64)thread * (u32)p.multiplier >> 32) >> (u32)p.shift;
    const int x = (int)(thread - group * (u32)p.columns) * COLUMNS, y = (int)group * ROWS;
    if (y >= (int)job.y || x >= (int)job.x) return;
    const u32 n = (u32)p.first_n + blockIdx.z, t = (u32)p.first_t + blockIdx.y;
    const u32 nt = n * (u32)job.t + t;
    const int taps = TAPS ? TAPS : (int)job.k;

    Values value;
    bool swapped = false, any = false;
    if (TAPS != 1) clear(value);
#pragma unroll 1
    for (int k = 0; k < taps; ++k) {
        const u32 tap = nt * (u32)taps + (u32)k;
        const RenderSource source = find_clip<RenderSource>(bytes, job.taps, tap, ONE ? &p.source : 0);
        if (source.address == 0) {
            block<NOTHING>();
            if (TAPS == 1) clear(value);
            continue;
        }
        const u32 box = n * (u32)job.axes_n + t * (u32)job.axes_t + (u32)k * (u32)job.axes_k;
        const Axes axes = at<Axes>(bytes, job.axes)[box];
        const u8* frame = (const u8*)source.address + (u32)at<int>(bytes, job.taps.frame)[tap] * source.frame_stride;
        const bool mirrored = axes.across.step < 0.f;
        if (any && mirrored != swapped) {
            block<SWAP>();
            swap(value);
        }
        swapped = mirrored, any = true;
        add_tap<TAPS == 1>(p, frame, source, axes, at<float>(bytes, job.taps.weight)[tap], x, y, value);
    }
    const Matrix matrix = at<Matrix>(bytes, job.colors)[n * (u32)job.colors_n];
    TYPE* frame = (TYPE*)job.out + n * job.out_n + t * job.out_t;
    if (LAYOUT == STRIDED || !(int)p.pairs) {
        block<SINGLE>();
        put_apart(job, frame, x, y, matrix, swapped, value);
    } else if (!(int)job.diagonal) {
        block<MIXED>();
        if (swapped) {
            block<MIRRORED>();
            put_pairs<true, true>(job, (char*)frame, x, y, matrix, value);
        } else {
            put_pairs<false, true>(job, (char*)frame, x, y, matrix, value);
        }
    } else if (swapped) {
        block<MIRRORED>();
        put_pairs<true, false>(job, (char*)frame, x, y, matrix, value);
    } else {
        put_pairs<false, false>(job, (char*)frame, x, y, matrix, value);
    }
}
