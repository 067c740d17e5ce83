// Plans whose taps lie over each other, on the CPU, row by row. Two files have the loops for half of the types each, so
// that two processors compile them.
// The shares of all taps in a row come first, from the last tap to the first, so that a tap is sampled only where it
// shows; then their pixels are summed up.
#pragma once

#include "host_masks.h"
#include "host_passes.h"

namespace {

// Source rows are too far apart for the processor to fetch them unasked.
template <typename Src> GPUAUG_FN void prefetch(const Piece& piece, int y, int outputs, const Src* from, int n) {
#if defined(__GNUC__)
    const Lerp s = sample_part(piece.axes[0], y + 3 < outputs ? y + 3 : y, 0, piece.layer.per_down, outputs, piece.height);
    const char *top = (const char*)(from + s.first * piece.row_stride), *bottom = (const char*)(from + s.second * piece.row_stride);
    const int bytes = n * (int)sizeof(Src);
    for (int i = 0; i < bytes; i += 64) __builtin_prefetch(bottom + i);
    if (piece.axes[0].step <= 1.f && piece.axes[0].step >= -1.f) return;
    for (int i = 0; i < bytes; i += 64) __builtin_prefetch(top + i);
#else
    (void)piece, (void)y, (void)outputs, (void)from, (void)n;
#endif
}

// row (+)= weight · n pixels of a source row, of CH values each, from pixel `first` and channel c on, for output row y.
template <typename Src, int CH>
GPUAUG_FN void source_row(float* RESTRICT row, const Piece& piece, float weight, bool fresh, int c, int y, int outputs, int first, int n) {
    const float per = weight * piece.layer.per_down;
    const Src* from = (const Src*)piece.frame + c * piece.channel_stride + first * piece.pixel_stride;
    for (int i = 0; i < piece.layer.down; ++i) {
        const Lerp s = sample_part(piece.axes[0], y, i, piece.layer.per_down, outputs, piece.height);
        const float part = s.second > s.first ? s.part : 0.f, a = (1.f - part) * per, b = part * per;
        const Src* top = from + s.first * piece.row_stride;
        const Src* bottom = part == 0.f ? top : from + s.second * piece.row_stride;
        if (CH == 1 && piece.pixel_stride != 1) {
            const i64 step = piece.pixel_stride;
            for (int x = 0; x < n; ++x) {
                const float value = part == 0.f ? a * load(top[x * step]) : a * load(top[x * step]) + b * load(bottom[x * step]);
                row[x] = fresh ? value : row[x] + value;
            }
        } else if (fresh && part == 0.f) {
            for (int x = 0; x < n * CH; ++x) row[x] = a * load(top[x]);
        } else if (fresh) {
            mix_rows<true>(row, top, bottom, a, b, n * CH);
        } else {
            mix_rows<false>(row, top, bottom, a, b, n * CH);
        }
        fresh = false;
    }
    for (int x = 0; x < 4; ++x) row[n * CH + x] = 0.f;  // read with weight 0, so it must be finite
    prefetch(piece, y, outputs, from, n * CH);
}

// What the pieces show of row y, summed up: channels c … c + CH − 1.
template <typename Src, int CH, int STRIDE>
GPUAUG_FN void show_row(float* pixels, Piece* pieces, int count, Pass* passes, int c, int y, int width, int height) {
    const bool SAFE = sizeof(Src) > 1;
    static const float whole = 1.f;
    Filled filled = {0, 0};
    int made = 0, shown = 0;
    for (int k = 0; k < count; ++k) {
        Piece& piece = pieces[k];
        if (piece.begin == piece.end) continue;
        ++shown;
        if (!piece.frame) {
            show_color<CH, STRIDE>(pixels, filled, piece, c);
            continue;
        }
        const Piece& owner = pieces[piece.source];
        const bool grouped = pieces[piece.group].members > 1;
        if (piece.source == k || grouped) {
            const int first = owner.low / CH, last = owner.high / CH + 1, n = (last < piece.width ? last : piece.width - 1) - first + 1;
            source_row<Src, CH>(owner.row, piece, grouped ? piece.level : 1.f, piece.source == k, c, y, height, first, n);
        }
        if (grouped && piece.source != k) continue;
        const float* weight = grouped ? &whole : piece.even ? &piece.level : piece.shown;
        passes[made++] = {owner.row - owner.low, &piece, weight, !grouped && !piece.even};
    }
    int i = 0;
    if constexpr (CH != 1)  // planes are summed up one by one, which is less to compile
        for (; i + 1 < made; i += 2) {
            int next = i + 1;
            for (int j = i + 2; j < made; ++j) next = common(passes[i], passes[j]) > common(passes[i], passes[next]) ? j : next;
            const Pass other = passes[next];
            passes[next] = passes[i + 1];
            show_both<CH, STRIDE, SAFE>(pixels, filled, passes[i], other, shown == 2 && made == 2);
        }
    for (; i < made; ++i) show<ONE, CH, STRIDE, SAFE>(pixels, filled, passes[i], passes[i], passes[i].piece->begin, passes[i].piece->end);
    clear(pixels, 0, filled.begin * STRIDE);
    clear(pixels, filled.end * STRIDE, width * STRIDE);
}

// Whether two pieces fill the frame, read the same columns, and the second is shown through a mask: then a row of which both
// show something all along needs no look at what pieces leave to others.
GPUAUG_FN bool opens(const Piece* pieces, int count, int width, int height) {
    if (count != 2) return false;
    const Piece &a = pieces[0], &b = pieces[1];
    if (!a.frame || !b.frame || !b.plane || !a.base || a.plane || b.leader != a.leader || a.copies || a.layer.across != 1) return false;
    const bool whole = b.solid && b.from == 0 && b.to == width && b.layer.top <= 0.f && b.layer.bottom >= (float)height;
    return whole && b.twin != a.twin && a.layer.weight == 1.f && b.layer.weight == 1.f;
}

template <int MASK> GPUAUG_FN void share_both(float* RESTRICT a, float* RESTRICT b, const u16* RESTRICT time, const Edge& edge, int n) {
    const float limit = edge.limit, scale = edge.scale;
    for (int x = 0; x < n; ++x) {
        const float s = (float)time[x];
        b[x] = MASK == HARD ? opened(limit, 0.f, false, s) : softened(limit, scale, MASK == SMOOTHED, s), a[x] = 1.f - b[x];
    }
}

// The shares of both in a row, if both show something in its first and last quarter; else there is less to be sampled.
GPUAUG_FN bool share_open(Piece* pieces, const Edge& edge, int y, int width) {
    const int near = width / 4;
    const u16* RESTRICT time = pieces[1].plane + (i64)y * width;
    for (int begin = 0; begin < width; begin += width - near) {
        u16 low = time[begin], high = low;
        for (int x = begin; x < begin + near; ++x) low = time[x] < low ? time[x] : low, high = time[x] > high ? time[x] : high;
        if (low >= edge.closed || high <= edge.open) return false;
    }
    Piece &a = pieces[0], &b = pieces[1];
    if (edge.scale == 0.f)
        share_both<HARD>(a.share, b.share, time, edge, width);
    else if (edge.smooth)
        share_both<SMOOTHED>(a.share, b.share, time, edge, width);
    else
        share_both<SOFT>(a.share, b.share, time, edge, width);
    const int left = a.places[0].left, right = a.places[width - 1].left;
    for (int k = 0; k < 2; ++k) {
        Piece& piece = pieces[k];
        piece.begin = 0, piece.end = width, piece.even = false, piece.shown = piece.share, piece.hard = k == 1 && edge.scale == 0.f;
        piece.group = piece.source = k, piece.members = 1;
        piece.low = left < right ? left : right, piece.high = left < right ? right : left;
    }
    return true;
}

template <typename Src, typename Out, int CH> GPUAUG_FN void compose_frame(const char* bytes, i64 nt, char* scratch, i64 most) {
    const ComposeJob& job = *(const ComposeJob*)bytes;
    const int STRIDE = CH == 3 ? 4 : CH;
    const i64 n = nt / job.t, t = nt % job.t;
    const int width = (int)job.x, height = (int)job.y, channels = CH == 3 ? 1 : (int)job.c;
    Piece* pieces = (Piece*)scratch;
    Pass* passes = (Pass*)(pieces + job.k);
    float* memory = (float*)((Source<float>*)(passes + job.k) + job.k);
    const auto take = [&](i64 floats) { return memory += floats, memory - floats; };
    const Rows rows = {nullptr, take(4 * width + PAD), take(4 * width + PAD), take(4 * width + PAD)};
    float* rest = take(width + PAD);

    int visible = 0;
    for (int k = 0; k < (int)job.k; ++k) {
        const i64 i = nt * job.k + k;
        const Layer& layer = at<Layer>(bytes, job.layers)[i];
        const ComposeSource source = find_clip<ComposeSource>(bytes, job.taps, i);
        if (layer.weight == 0.f || (!(layer.flags & COLOR) && source.address == 0)) continue;
        Piece& piece = pieces[visible];
        piece.layer = layer;
        piece.base = k == 0;
        piece.plane = layer.plane < 0 || k == 0 ? nullptr : at<u16>(bytes, job.planes) + layer.plane * job.y * job.x;
        piece.frame = nullptr;
        if (!(layer.flags & COLOR)) {
            piece.frame = (const char*)((const Src*)source.address + at<int>(bytes, job.taps.frame)[i] * source.frame_stride);
            piece.row_stride = source.row_stride, piece.pixel_stride = source.pixel_stride;
            piece.channel_stride = source.channel_stride, piece.height = (int)source.height, piece.width = (int)source.width;
            piece.axes = at<Axis>(bytes, job.axes) + 2 * i;
        }
        ++visible;
    }
    Out* out = (Out*)job.out + n * job.out_n + t * job.out_t;
    if constexpr (CH == 1 && sizeof(Src) == sizeof(Out))
        if (job.same && open_frame<Out>(out, job.out_c, job.out_y, job.out_x, pieces, visible, width, height, channels)) return;
    for (int k = 0; k < visible; ++k) {
        Piece& piece = pieces[k];
        piece.places = (Place*)take(2 * most * width);
        piece.columns = take(width), piece.share = take(width), piece.row = take(job.widest * CH + 4 + PAD);
        if (piece.frame) tabulate<CH>(piece, width);
        look(pieces, k, width);
    }

    if constexpr (CH == 1 && sizeof(Src) == sizeof(Out)) {
        bool exact = job.same != 0;
        for (int k = 0; k < visible; ++k) exact = exact && direct(pieces[k], width, height);
        if (exact) {
            float* wide = take(4 * job.k * width);
            Source<Out>* sources = (Source<Out>*)(passes + job.k);
            direct_frame<Out>(out, job.out_c, job.out_y, job.out_x, pieces, visible, sources, rest, rows.typed, wide, width, height, channels);
            return;
        }
    }
    const float* matrix = at<float>(bytes, job.colors) + n * job.colors_n * CH * (CH + 1);
    float scale[4] = {0.f, 0.f, 0.f, 0.f}, shift[4] = {0.f, 0.f, 0.f, 0.f};
    for (int c = 0; c < CH; ++c) {
        scale[c] = job.diagonal ? matrix[c * (CH + 1) + c] : 1.f;
        shift[c] = job.diagonal ? matrix[c * (CH + 1) + CH] : 0.f;
    }
    const bool open = CH != 1 && width >= 4 && opens(pieces, visible, width, height);
    const Edge edge = open ? edge_of(pieces[1].layer) : Edge{};
    for (int y = 0; y < height; ++y) {
        const bool both = open && share_open(pieces, edge, y, width);
        if (!both && share_rows(pieces, visible, rest, y, width)) share_work(pieces, visible);
        for (int c = 0; c < channels; ++c) {
            show_row<Src, CH, STRIDE>(rows.pixels, pieces, visible, passes, c, y, width, height);
            if (CH == 3 && !job.diagonal) color_row<CH, STRIDE>(rows.pixels, matrix, width);
            write_row<Out, CH, STRIDE>(out + c * (CH == 3 ? 0 : job.out_c) + y * job.out_y, job.out_c, job.out_x, scale, shift, rows, width);
        }
    }
}

}  // namespace

#define COMPOSE(NAME, SRC, OUT)                                                  \
    CLONES void NAME(const char* job, i64 nt, char* scratch, i64 most) {         \
        if (sizeof(SRC) == 1 && ((const ComposeJob*)job)->packed)                \
            compose_frame<u8, OUT, 3>(job, nt, scratch, most);                   \
        else                                                                     \
            compose_frame<SRC, OUT, 1>(job, nt, scratch, most);                  \
    }
