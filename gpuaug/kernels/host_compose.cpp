// Plans whose taps lie over each other, on the CPU, row by row. Plain C interface for ctypes.
// The shares of all taps in a row come first, from the last tap to the first, so that a tap is sampled only where it
// shows; then their pixels are summed up.
#include "host_rows.h"
#include "layers.cuh"

namespace {

struct Piece {  // a tap of a frame
    Layer layer;
    const char* frame;   // 0 for a colour
    i64 row_stride, pixel_stride, channel_stride;
    int height, width;
    const Axis* axes;
    const u16* plane;    // 0: no mask
    int* left;           // per sample along x: the left source pixel …
    float* part;         // … and the weight of the right one
    float* columns;      // per output pixel: how much of it the place covers, along x
    float* share;        // per output pixel of the row in work
    bool base;           // the first tap, which covers everything
    bool copies;         // output pixel x is source pixel left[0] + x
    int begin, end;      // where it shows in the row
};

struct Line {  // scratch memory, PAD floats to spare each
    float *source, *pixels, *planes, *typed;
    float* rest;  // per output pixel: what the taps above leave
};

i64 compose_scratch(const ComposeJob& job, i64 most) {
    const i64 line = job.widest * 3 + 4 + 3 * 4 * job.x + job.x + 6 * PAD, own = (2 * most + 2) * job.x;
    return (i64)sizeof(float) * (line + job.k * own) + job.k * (i64)sizeof(Piece);
}

// The greatest number of samples along x of any tap.
i64 most_samples(const char* bytes) {
    const ComposeJob& job = *(const ComposeJob*)bytes;
    const Layer* layers = at<Layer>(bytes, job.layers);
    int most = 1;
    for (i64 i = 0; i < job.n * job.t * job.k; ++i) most = layers[i].across > most ? layers[i].across : most;
    return most;
}

GPUAUG_FN void tabulate(Piece& piece, int outputs, int width) {
    const Axis axis = piece.axes[1];
    const int count = piece.layer.across;
    const float per = piece.layer.per_across;
    int* RESTRICT left = piece.left;
    float* RESTRICT part = piece.part;
    if (count == 1) {
        for (int x = 0; x < outputs; ++x) {
            const Lerp s = sample_part(axis, x, 0, 1.f, outputs, width);
            left[x] = s.first, part[x] = s.second > s.first ? s.part : 0.f;
        }
    } else {
        for (int x = 0; x < outputs; ++x)
            for (int i = 0; i < count; ++i) {
                const Lerp s = sample_part(axis, x, i, per, outputs, width);
                left[x * count + i] = s.first, part[x * count + i] = s.second > s.first ? s.part : 0.f;
            }
    }
    int same = 1;
    for (int x = 0; x < outputs; ++x) same &= part[x] == 0.f && left[x] == left[0] + x;
    piece.copies = count == 1 && same;
}

// Source rows are too far apart for the processor to fetch them unasked.
template <typename Src, int CH> GPUAUG_FN void prefetch(const Piece& piece, int y, int outputs, int first, int n) {
#if defined(__GNUC__)
    const Lerp s = sample_part(piece.axes[0], y, 0, piece.layer.per_down, outputs, piece.height);
    const Src* from = (const Src*)piece.frame + first * piece.pixel_stride;
    const char *top = (const char*)(from + s.first * piece.row_stride), *bottom = (const char*)(from + s.second * piece.row_stride);
    const int bytes = n * CH * (int)sizeof(Src);
    for (int i = 0; i < bytes; i += 64) __builtin_prefetch(bottom + i);
    if (piece.axes[0].step <= 1.f && piece.axes[0].step >= -1.f) return;
    for (int i = 0; i < bytes; i += 64) __builtin_prefetch(top + i);
#else
    (void)piece, (void)y, (void)outputs, (void)first, (void)n;
#endif
}

// share = rest · part of the pixel that the piece shows; rest -= share. Where it shows is left in begin and end.
GPUAUG_FN void share_row(Piece& piece, float* RESTRICT rest, int y, int begin, int end, int outputs) {
    const Layer& layer = piece.layer;
    const float down = layer.weight * (piece.base ? 1.f : covered(layer.top, layer.bottom, y));
    piece.begin = piece.end = 0;
    if (down == 0.f) return;
    float* RESTRICT share = piece.share;
    const float* RESTRICT columns = piece.columns;
    const float limit = layer.limit, scale = layer.scale;
    if (!piece.plane) {
        for (int x = begin; x < end; ++x) share[x] = down * columns[x];
    } else {
        const u16* RESTRICT plane = piece.plane + (i64)y * outputs;
        if (scale == 0.f)
            for (int x = begin; x < end; ++x) share[x] = opened(limit, 0.f, false, (float)plane[x]) * down * columns[x];
        else if (layer.flags & SMOOTH)
            for (int x = begin; x < end; ++x) share[x] = opened(limit, scale, true, (float)plane[x]) * down * columns[x];
        else
            for (int x = begin; x < end; ++x) share[x] = opened(limit, scale, false, (float)plane[x]) * down * columns[x];
    }
    for (int x = begin; x < end; ++x) {
        const float a = share[x];
        share[x] = a * rest[x];
        rest[x] *= 1.f - a;
    }
    while (begin < end && share[begin] == 0.f) ++begin;
    while (begin < end && share[end - 1] == 0.f) --end;
    piece.begin = begin, piece.end = end;
}

// Values begin … begin + n of a source row that the piece reads for output row y, from channel c on; n of CH each pixel.
template <typename Src, int CH>
GPUAUG_FN void source_row(float* RESTRICT row, const Piece& piece, int c, int y, int outputs, int first, int n) {
    const int count = piece.layer.down;
    const Src* from = (const Src*)piece.frame + c * piece.channel_stride + first * piece.pixel_stride;
    for (int i = 0; i < count; ++i) {
        const Lerp s = sample_part(piece.axes[0], y, i, piece.layer.per_down, outputs, piece.height);
        const float part = s.second > s.first ? s.part : 0.f, a = (1.f - part) * piece.layer.per_down, b = part * piece.layer.per_down;
        const Src* top = from + s.first * piece.row_stride;
        const Src* bottom = part == 0.f ? top : from + s.second * piece.row_stride;
        if (CH == 1 && piece.pixel_stride != 1) {
            const i64 step = piece.pixel_stride;
            for (int x = 0; x < n; ++x) {
                const float value = part == 0.f ? a * load(top[x * step]) : a * load(top[x * step]) + b * load(bottom[x * step]);
                row[x] = i ? row[x] + value : value;
            }
        } else if (i == 0 && part == 0.f) {
            for (int x = 0; x < n * CH; ++x) row[x] = a * load(top[x]);
        } else if (i == 0) {
            mix_rows<true>(row, top, bottom, a, b, n * CH);
        } else {
            mix_rows<false>(row, top, bottom, a, b, n * CH);
        }
    }
    for (int x = 0; x < 4; ++x) row[n * CH + x] = 0.f;  // read with weight 0, so it must be finite
}

// pixels (+)= share · piece. SAFE: what has no share is left out, also where it is no number.
template <bool FIRST, int CH, int STRIDE, bool SAFE>
GPUAUG_FN void add_row(float* RESTRICT pixels, const float* RESTRICT row, const Piece& piece, int first) {
    const int* RESTRICT left = piece.left;
    const float *RESTRICT parts = piece.part, *RESTRICT share = piece.share;
    const int count = piece.layer.across;
    if (piece.copies) {
        const float* RESTRICT from = row + (piece.left[0] - first) * CH;
        for (int x = piece.begin; x < piece.end; ++x)
            for (int c = 0; c < STRIDE; ++c) {
                const float value = SAFE && share[x] == 0.f ? 0.f : share[x] * from[x * CH + c];
                pixels[x * STRIDE + c] = FIRST ? value : pixels[x * STRIDE + c] + value;
            }
    } else if (count == 1) {
        for (int x = piece.begin; x < piece.end; ++x) {
            const float* pixel = row + (left[x] - first) * CH;
            const float part = parts[x], w = share[x];
            for (int c = 0; c < STRIDE; ++c) {
                const float mixed = w * mix(pixel[c], pixel[c + CH], part), value = SAFE && w == 0.f ? 0.f : mixed;
                pixels[x * STRIDE + c] = FIRST ? value : pixels[x * STRIDE + c] + value;
            }
        }
    } else {
        for (int i = 0; i < count; ++i)
            for (int x = piece.begin; x < piece.end; ++x) {
                const float* pixel = row + (left[x * count + i] - first) * CH;
                const float part = parts[x * count + i], w = share[x] * piece.layer.per_across;
                for (int c = 0; c < STRIDE; ++c) {
                    const float mixed = w * mix(pixel[c], pixel[c + CH], part), value = SAFE && w == 0.f ? 0.f : mixed;
                    pixels[x * STRIDE + c] = FIRST && i == 0 ? value : pixels[x * STRIDE + c] + value;
                }
            }
    }
}

template <typename Src, typename Out, int CH> GPUAUG_FN void compose_frame(const char* bytes, i64 nt, char* scratch, i64 most) {
    const ComposeJob& job = *(const ComposeJob*)bytes;
    const int STRIDE = CH == 3 ? 4 : CH;
    const bool SAFE = sizeof(Src) > 1;
    const i64 n = nt / job.t, t = nt % job.t;
    const int width = (int)job.x, height = (int)job.y, channels = CH == 3 ? 1 : (int)job.c;
    Piece* pieces = (Piece*)scratch;
    float* memory = (float*)(pieces + job.k);
    Line line;
    line.source = memory, memory += job.widest * CH + 4 + PAD;
    line.pixels = memory, memory += 4 * width + PAD;
    line.planes = memory, memory += 4 * width + PAD;
    line.typed = memory, memory += 4 * width + PAD;
    line.rest = memory, memory += width + PAD;
    const Rows rows = {line.source, line.pixels, line.planes, line.typed};

    int visible = 0;
    for (int k = 0; k < (int)job.k; ++k) {
        const i64 i = nt * job.k + k;
        const Layer& layer = at<Layer>(bytes, job.layers)[i];
        const ComposeSource source = find_clip<ComposeSource>(bytes, job.taps, i);
        if (layer.weight == 0.f || (!(layer.flags & COLOR) && source.address == 0)) continue;
        Piece& piece = pieces[visible++];
        piece.layer = layer;
        piece.base = k == 0;
        piece.plane = layer.plane < 0 || k == 0 ? nullptr : at<u16>(bytes, job.planes) + layer.plane * job.y * job.x;
        piece.left = (int*)memory, memory += most * width;
        piece.part = memory, memory += most * width;
        piece.columns = memory, memory += width;
        piece.share = memory, memory += width;
        for (int x = 0; x < width; ++x) piece.columns[x] = k == 0 ? 1.f : covered(layer.left, layer.right, x);
        piece.frame = nullptr;
        if (layer.flags & COLOR) continue;
        piece.frame = (const char*)((const Src*)source.address + at<int>(bytes, job.taps.frame)[i] * source.frame_stride);
        piece.row_stride = source.row_stride, piece.pixel_stride = source.pixel_stride;
        piece.channel_stride = source.channel_stride, piece.height = (int)source.height, piece.width = (int)source.width;
        piece.axes = at<Axis>(bytes, job.axes) + 2 * i;
        tabulate(piece, width, (int)source.width);
    }

    const float* matrix = at<float>(bytes, job.colors) + n * job.colors_n * CH * (CH + 1);
    Out* out = (Out*)job.out + n * job.out_n + t * job.out_t;
    float scale[4] = {0.f, 0.f, 0.f, 0.f}, shift[4] = {0.f, 0.f, 0.f, 0.f};
    for (int c = 0; c < CH; ++c) {
        scale[c] = job.diagonal ? matrix[c * (CH + 1) + c] : 1.f;
        shift[c] = job.diagonal ? matrix[c * (CH + 1) + CH] : 0.f;
    }
    for (int y = 0; y < height; ++y) {
        int begin = 0, end = width;
        for (int x = 0; x < width; ++x) line.rest[x] = 1.f;
        for (int k = visible - 1; k >= 0; --k) {
            share_row(pieces[k], line.rest, y, begin, end, width);
            while (begin < end && line.rest[begin] == 0.f) ++begin;
            while (begin < end && line.rest[end - 1] == 0.f) --end;
        }
        for (int c = 0; c < channels; ++c) {
            bool fresh = true;  // nothing in the row yet
            for (int k = 0; k < visible; ++k) {
                const Piece& piece = pieces[k];
                if (piece.begin == piece.end) continue;
                const bool sets = fresh && piece.frame && piece.begin == 0 && piece.end == width;
                if (fresh && !sets)
                    for (int x = 0; x < width * STRIDE; ++x) line.pixels[x] = 0.f;
                fresh = false;
                if (!piece.frame) {
                    const float *color = piece.layer.color, *share = piece.share;
                    for (int x = piece.begin; x < piece.end; ++x)
                        for (int i = 0; i < CH; ++i) line.pixels[x * STRIDE + i] += share[x] * color[CH == 3 ? i : c];
                    continue;
                }
                const int count = piece.layer.across;
                const int a = piece.left[piece.begin * count], b = piece.left[piece.end * count - 1];
                const int first = a < b ? a : b, last = (a < b ? b : a) + 1;
                const int values = (last < piece.width ? last : piece.width - 1) - first + 1;
                source_row<Src, CH>(line.source, piece, c, y, height, first, piece.copies ? b - a + 1 : values);
                const int later = y + 3 < height ? y + 3 : y;
                prefetch<Src, CH>(piece, later, height, first, values);
                if (sets)
                    add_row<true, CH, STRIDE, SAFE>(line.pixels, line.source, piece, first);
                else
                    add_row<false, CH, STRIDE, SAFE>(line.pixels, line.source, piece, first);
            }
            if (fresh)
                for (int x = 0; x < width * STRIDE; ++x) line.pixels[x] = 0.f;
            if (CH == 3 && !job.diagonal) color_row<CH, STRIDE>(line.pixels, matrix, width);
            write_row<Out, CH, STRIDE>(out + c * (CH == 3 ? 0 : job.out_c) + y * job.out_y, job.out_c, job.out_x, scale, shift, rows, width);
        }
    }
}

#define COMPOSE(NAME, SRC, OUT)                                                  \
    CLONES void NAME(const char* job, i64 nt, char* scratch, i64 most) {         \
        if (sizeof(SRC) == 1 && ((const ComposeJob*)job)->packed)                \
            compose_frame<u8, OUT, 3>(job, nt, scratch, most);                   \
        else                                                                     \
            compose_frame<SRC, OUT, 1>(job, nt, scratch, most);                  \
    }
COMPOSE(compose_u8, u8, u8)
COMPOSE(compose_u8_half, u8, Half)
COMPOSE(compose_u8_bfloat, u8, BFloat)
COMPOSE(compose_u8_float, u8, float)
COMPOSE(compose_half, Half, Half)
COMPOSE(compose_bfloat, BFloat, BFloat)
COMPOSE(compose_float, float, float)

}  // namespace

// dtype of the output: 0 uint8, 1 float16, 2 bfloat16, 3 float32. Returns 0, or 1 where there is no memory for scratch rows.
EXPORT int gpuaug_compose(const char* bytes, int dtype, int threads) {
    const ComposeJob& job = *(const ComposeJob*)bytes;
    void (*const bytes_to[])(const char*, i64, char*, i64) = {compose_u8, compose_u8_half, compose_u8_bfloat, compose_u8_float};
    void (*const same[])(const char*, i64, char*, i64) = {compose_u8, compose_half, compose_bfloat, compose_float};
    const auto frame = job.same ? same[dtype] : bytes_to[dtype];
    const i64 most = most_samples(bytes);
    return for_frames(job.n * job.t, threads, compose_scratch(job, most), [=](i64 nt, char* s) { frame(bytes, nt, s, most); });
}
