// Frames of one clip over another, opened by a mask, on the CPU: what most of the kinds of transitions are. Nothing is
// sampled. Pixels go by blocks, which are copied where the mask is closed or open, and mixed along its edge only; the
// mask's shares of a block are made once for all of its channels.
#pragma once
#include "host_direct.h"

namespace {

const int BLOCK = 64;  // pixels

template <int BYTES> struct Word { typedef u8 Type; };  // whole numbers of a value's size
template <> struct Word<2> { typedef u16 Type; };
template <> struct Word<4> { typedef u32 Type; };

// Where what a mask of a frame opens begins: pixels in so many runs, of `per` values side by side in `planes` planes.
template <typename T> struct Opened {
    T* out;
    const T *a, *b;                    // below, and over it
    i64 out_plane, a_plane, b_plane;   // steps, in values
    const u16* time;
};

// A linear edge no narrower than a 32nd of the rest, for arithmetic of 16 bits: a share, in 2²³ths, is `base`, and a step more
// for every step of time before `last`. Its lower bits are exact, so that the upper ones need no carry.
struct Line {
    u16 first, last;   // times beyond have no other shares
    u16 none, all;     // steps at which nothing is shown, or all; 65535 where no time is so far off
    u16 step, rest;    // what a step adds: 2²³ths, and 65536ths of one
    u16 wide;          // … in 65536ths of 2⁻¹¹
    u16 base;          // lower bits
    short level;       // the others, in 2⁻¹¹, and half a 128th
};

struct Edge {  // of a mask: all of a pixel is shown of times up to `open`, which may be −1, nothing from `closed` on
    float limit, scale;  // of a Layer
    bool smooth;
    int open, closed;
    bool linear;
    Line line;
};

GPUAUG_FN Edge edge_of(const Layer& layer) {
    const auto bounded = [](float time) { return (int)least(most(time, -1.f), 65536.f); };
    Edge edge = {layer.limit, layer.scale, (layer.flags & SMOOTH) != 0, 0, bounded(ceilf(layer.limit)), false, {}};
    edge.closed = edge.closed < 0 ? 0 : edge.closed;
    edge.open = edge.closed - 1;
    if (edge.scale == 0.f) return edge;
    const auto all = [&](int time) { return softened(edge.limit, edge.scale, false, (float)time) == 1.f; };
    edge.open = bounded(floorf(layer.limit - 1.f / layer.scale));  // but for what floats round
    while (edge.open < 65535 && all(edge.open + 1)) ++edge.open;
    while (edge.open >= 0 && !all(edge.open)) --edge.open;
    return edge;
}

// A block of a hard edge: bits of b where it is open, else of a.
template <typename T, int PER> GPUAUG_FN void choose(const Opened<T>& at, int planes, const Edge& edge, int n) {
    typedef typename Word<sizeof(T)>::Type Bits;
    Bits later[BLOCK * PER];
    const u16 last = (u16)edge.open;  // some are open, some closed
    const u16* RESTRICT time = at.time;
    for (int x = 0; x < n; ++x)
        for (int i = 0; i < PER; ++i) later[x * PER + i] = time[x] <= last ? (Bits)-1 : (Bits)0;
    for (int c = 0; c < planes; ++c) {
        Bits* RESTRICT out = (Bits*)(at.out + c * at.out_plane);
        const Bits *RESTRICT a = (const Bits*)(at.a + c * at.a_plane), *RESTRICT b = (const Bits*)(at.b + c * at.b_plane);
        for (int x = 0; x < n * PER; ++x) out[x] = (Bits)(a[x] ^ ((a[x] ^ b[x]) & later[x]));
    }
}

// One plane of a block: a, and of b what `share` says.
template <typename T> GPUAUG_FN void mix_plane(T* RESTRICT out, const T* RESTRICT a, const T* RESTRICT b, const float* RESTRICT share, int n) {
    for (int x = 0; x < n; ++x) {
        const float wb = share[x], wa = 1.f - wb;
        float va = wa * load(a[x]), vb = wb * load(b[x]);
        va = wa == 0.f ? 0.f : va, vb = wb == 0.f ? 0.f : vb;  // what has no share may be no number
        out[x] = Cast<T>::of(va + vb);
    }
}

// … of bytes: a + share · (b − a) in whole numbers of 16 bits. `whole` has a share's 128ths, `part` what is left of it in
// 2²³ths, from −2¹⁵ on, so that the upper half of its product is in 128ths of a level, too, and nothing but the share is rounded.
GPUAUG_FN void mix_bytes(u8* RESTRICT out, const u8* RESTRICT a, const u8* RESTRICT b, const short* RESTRICT whole, const short* RESTRICT part, int n) {
    for (int x = 0; x < n; ++x) {
        const short more = (short)(b[x] - a[x]);
        const short sum = (short)((short)(more * whole[x]) + (short)((more * part[x]) >> 16) + 64);
        out[x] = (u8)(a[x] + (u8)(sum >> 7));
    }
}

const int ONE_SHARE = 1 << 23;

// The shares of a block, as mix_bytes has them. Loops of one kind of step each, which compilers make the shortest code of.
template <int PER, bool SMOOTHER>
GPUAUG_FN void share_bytes(short* RESTRICT whole, short* RESTRICT part, const u16* RESTRICT time, const Edge& edge, int n) {
    int share[BLOCK];
    const u16 low = (u16)(edge.open < 0 ? 0 : edge.open), high = (u16)(edge.closed > 65535 ? 65535 : edge.closed);
    const float limit = edge.limit, scale = edge.scale * (float)ONE_SHARE;
    for (int x = 0; x < n; ++x) {
        u16 s = time[x];
        s = s < low ? low : s, s = s > high ? high : s;
        const int made = (int)((limit - (float)s) * scale + 0.5f), most = made < ONE_SHARE ? made : ONE_SHARE;
        share[x] = most > 0 ? most : 0;
    }
    for (int x = 0; SMOOTHER && x < n; ++x) {
        const float soft = (float)share[x] * (1.f / (float)ONE_SHARE);
        share[x] = (int)(soft * soft * (3.f - 2.f * soft) * (float)ONE_SHARE + 0.5f);
    }
    for (int x = 0; x < n; ++x)
        for (int i = 0; i < PER; ++i) part[x * PER + i] = (short)share[x], whole[x * PER + i] = (short)((share[x] + 32768) >> 16);
}

GPUAUG_FN bool line_of(Line& line, const Edge& edge) {
    const double step = (double)edge.scale * ONE_SHARE;
    if (edge.smooth || step >= 4096. || (edge.closed >= 65535 && edge.open <= 0)) return false;
    const int last = edge.closed > 65535 ? 65535 : edge.closed, base = (int)floor(((double)edge.limit - last) * step + 1.);
    line.first = (u16)(edge.open < 0 ? 0 : edge.open), line.last = (u16)last;
    line.none = edge.closed > 65535 ? 65535 : 0, line.all = edge.open < 0 ? 65535 : (u16)(last - edge.open);
    line.step = (u16)step, line.rest = (u16)((step - (double)line.step) * 65536.), line.wide = (u16)(step * 16.);
    line.base = (u16)base, line.level = (short)((base >> 12) + 8);
    return true;
}

// The same of such an edge.
template <int PER> GPUAUG_FN void share_line(short* RESTRICT whole, short* RESTRICT part, const u16* RESTRICT time, const Line& line, int n) {
    for (int x = 0; x < n; ++x) {
        u16 s = time[x];
        s = s < line.first ? line.first : s, s = s > line.last ? line.last : s;
        const u16 steps = (u16)(line.last - s);
        const short low = (short)(u16)((u16)(steps * line.step) + (u16)((u32)steps * line.rest >> 16) + line.base);
        const short high = (short)(u16)((u16)((u32)steps * line.wide >> 16) + (u16)line.level);
        const short left = steps == line.none || steps == line.all ? (short)0 : low;
        const short most = (short)((short)(high - (short)(low >> 12)) >> 4);
        for (int i = 0; i < PER; ++i) part[x * PER + i] = left, whole[x * PER + i] = most;
    }
}

// … of a soft one.
template <typename T, int PER, bool SMOOTHER>
GPUAUG_FN void mix_block(const Opened<T>& at, int planes, const Edge& edge, int n) {
    if (sizeof(T) == 1 && edge.scale < 128.f) {
        short whole[BLOCK * PER], part[BLOCK * PER];
        if (!SMOOTHER && edge.linear)
            share_line<PER>(whole, part, at.time, edge.line, n);
        else
            share_bytes<PER, SMOOTHER>(whole, part, at.time, edge, n);
        for (int c = 0; c < planes; ++c)
            mix_bytes((u8*)at.out + c * at.out_plane, (const u8*)at.a + c * at.a_plane, (const u8*)at.b + c * at.b_plane, whole, part, n * PER);
        return;
    }
    float share[BLOCK * PER];
    const u16* RESTRICT time = at.time;
    for (int x = 0; x < n; ++x) {
        const float value = softened(edge.limit, edge.scale, SMOOTHER, (float)time[x]);
        for (int i = 0; i < PER; ++i) share[x * PER + i] = value;
    }
    for (int c = 0; c < planes; ++c)
        mix_plane<T>(at.out + c * at.out_plane, at.a + c * at.a_plane, at.b + c * at.b_plane, share, n * PER);
}

template <typename T, int PER> GPUAUG_FN void copy_block(const Opened<T>& at, bool open, int planes, int n) {
    for (int c = 0; c < planes; ++c) {
        const T* from = open ? at.b + c * at.b_plane : at.a + c * at.a_plane;
        memcpy((void*)(at.out + c * at.out_plane), (const void*)from, (size_t)(n * PER) * sizeof(T));
    }
}

template <typename T, int PER> GPUAUG_FN void open_block(const Opened<T>& at, const Edge& edge, int planes, int n) {
    const u16* RESTRICT time = at.time;
    const u16 first = time[0], last = time[n - 1];  // most blocks of both are told by these
    u16 low = first < last ? first : last, high = first < last ? last : first;
    if (low >= edge.closed || high <= edge.open)
        for (int x = 0; x < n; ++x) low = time[x] < low ? time[x] : low, high = time[x] > high ? time[x] : high;
    if (low >= edge.closed || high <= edge.open)
        copy_block<T, PER>(at, high <= edge.open, planes, n);
    else if (edge.scale == 0.f)
        choose<T, PER>(at, planes, edge, n);
    else if (edge.smooth)
        mix_block<T, PER, true>(at, planes, edge, n);
    else
        mix_block<T, PER, false>(at, planes, edge, n);
}

template <typename T, int PER> GPUAUG_FN void open_run(Opened<T> at, const Edge& edge, int planes, int n) {
    for (int x = 0; x < n; x += BLOCK) {
        if (n - x >= BLOCK)
            open_block<T, PER>(at, edge, planes, BLOCK);  // loops of one length, which compilers unroll
        else
            open_block<T, PER>(at, edge, planes, n - x);
        at.out += BLOCK * PER, at.a += BLOCK * PER, at.b += BLOCK * PER, at.time += BLOCK;
    }
}

// Whether the piece shows source pixel (y, x) in output pixel (y, x), everywhere, as its axes and place say at once. Of what
// is not in them nothing is known yet. One answer of all comparisons: a compiler takes a row of branches on equal floats for
// one that is never taken, and makes short, slow code of what follows.
GPUAUG_FN bool unmoved(const Piece& piece, int width, int height) {
    if (!piece.frame) return false;
    const auto plain = [](const Axis& axis, int n) {
        const float last = (float)(n - 1);
        return (int)(axis.base == 0.f) & (axis.start == 0.f) & (axis.step == 1.f) & (axis.low == 0.f) & (axis.high == last);
    };
    const Layer& place = piece.layer;
    const int all = (place.top <= 0.f) & (place.left <= 0.f) & (place.bottom >= (float)height) & (place.right >= (float)width);
    const int size = (piece.width == width) & (piece.height == height) & (place.down == 1) & (place.across == 1);
    return (size & (all | (int)piece.base) & (place.weight == 1.f) & plain(piece.axes[0], height) & plain(piece.axes[1], width)) != 0;
}

// Whether a frame is one piece with a mask over another, all of it with the channels as planes, or 3 side by side; then it
// was made. It comes before all that other frames have to look up.
template <typename T>
GPUAUG_FN bool open_frame(T* out, i64 out_c, i64 out_y, i64 out_x, const Piece* pieces, int count, int width, int height, int channels) {
    if (count != 2) return false;
    const Piece &a = pieces[0], &b = pieces[1];
    if (!b.plane || !a.base || !unmoved(a, width, height) || !unmoved(b, width, height)) return false;
    const bool planar = out_x == 1 && a.pixel_stride == 1 && b.pixel_stride == 1;
    const bool packed = channels == 3 && out_x == 3 && out_c == 1 && a.pixel_stride == 3 && a.channel_stride == 1 && b.pixel_stride == 3 &&
                        b.channel_stride == 1;
    if (!planar && !packed) return false;
    const i64 row = packed ? 3 * (i64)width : width;
    const bool dense = out_y == row && a.row_stride == row && b.row_stride == row;
    Opened<T> at = {out, (const T*)a.frame, (const T*)b.frame, out_c, a.channel_stride, b.channel_stride, b.plane};
    Edge edge = edge_of(b.layer);
    edge.linear = edge.scale > 0.f && line_of(edge.line, edge);
    for (int y = 0; y < (dense ? 1 : height); ++y) {
        if (packed)
            open_run<T, 3>(at, edge, 1, dense ? width * height : width);
        else
            open_run<T, 1>(at, edge, channels, dense ? width * height : width);
        at.out += out_y, at.a += a.row_stride, at.b += b.row_stride, at.time += width;
    }
    return true;
}

}  // namespace
