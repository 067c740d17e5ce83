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

// A block of a hard edge: bits of b where the pixel changes before `limit`, else of a.
template <typename T, int PER> GPUAUG_FN void choose(const Opened<T>& at, int planes, float limit, int n) {
    typedef typename Word<sizeof(T)>::Type Bits;
    Bits later[BLOCK * PER];
    const u16 last = (u16)(ceilf(limit) - 1.f);  // some do, some do not: 0 < limit ≤ TOP
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

// … of bytes: a + share · (b − a), of which only the last is a float; 256 keeps it above 0 and is no part of a byte.
template <int MOST> GPUAUG_FN void mix_bytes(u8* RESTRICT out, const u8* RESTRICT a, const u8* RESTRICT b, const float* RESTRICT share, int n) {
    short more[MOST];
    for (int x = 0; x < n; ++x) more[x] = (short)((short)b[x] - (short)a[x]);
    for (int x = 0; x < n; ++x) more[x] = (short)(int)(share[x] * (float)more[x] + 256.5f);
    for (int x = 0; x < n; ++x) out[x] = (u8)(a[x] + (u8)more[x]);
}

// … of a soft one.
template <typename T, int PER, bool SMOOTHER>
GPUAUG_FN void mix_block(const Opened<T>& at, int planes, float limit, float scale, int n) {
    float share[BLOCK * PER];
    const u16* RESTRICT time = at.time;
    for (int x = 0; x < n; ++x) {
        const float value = softened(limit, scale, SMOOTHER, (float)time[x]);
        for (int i = 0; i < PER; ++i) share[x * PER + i] = value;
    }
    for (int c = 0; c < planes; ++c) {
        T* out = at.out + c * at.out_plane;
        const T *a = at.a + c * at.a_plane, *b = at.b + c * at.b_plane;
        if constexpr (sizeof(T) == 1)
            mix_bytes<BLOCK * PER>(out, a, b, share, n * PER);
        else
            mix_plane<T>(out, a, b, share, n * PER);
    }
}

template <typename T, int PER> GPUAUG_FN void copy_block(const Opened<T>& at, bool open, int planes, int n) {
    for (int c = 0; c < planes; ++c) {
        const T* from = open ? at.b + c * at.b_plane : at.a + c * at.a_plane;
        memcpy((void*)(at.out + c * at.out_plane), (const void*)from, (size_t)(n * PER) * sizeof(T));
    }
}

template <typename T, int PER> GPUAUG_FN void open_block(const Opened<T>& at, const Layer& layer, int planes, int n) {
    const bool smooth = (layer.flags & SMOOTH) != 0;
    const u16* RESTRICT time = at.time;
    u16 low = time[0], high = low;
    for (int x = 0; x < n; ++x) low = time[x] < low ? time[x] : low, high = time[x] > high ? time[x] : high;
    const bool closed = opened(layer.limit, layer.scale, smooth, (float)low) == 0.f;
    if (closed || opened(layer.limit, layer.scale, smooth, (float)high) == 1.f)
        copy_block<T, PER>(at, !closed, planes, n);
    else if (layer.scale == 0.f)
        choose<T, PER>(at, planes, layer.limit, n);
    else if (smooth)
        mix_block<T, PER, true>(at, planes, layer.limit, layer.scale, n);
    else
        mix_block<T, PER, false>(at, planes, layer.limit, layer.scale, n);
}

template <typename T, int PER> GPUAUG_FN void open_run(Opened<T> at, const Layer& layer, int planes, int n) {
    for (int x = 0; x < n; x += BLOCK) {
        if (n - x >= BLOCK)
            open_block<T, PER>(at, layer, planes, BLOCK);  // loops of one length, which compilers unroll
        else
            open_block<T, PER>(at, layer, planes, n - x);
        at.out += BLOCK * PER, at.a += BLOCK * PER, at.b += BLOCK * PER, at.time += BLOCK;
    }
}

// Whether a frame is one piece with a mask over another, all of it with the channels as planes, or 3 side by side; then it
// was made.
template <typename T>
GPUAUG_FN bool open_frame(T* out, i64 out_c, i64 out_y, i64 out_x, const Piece* pieces, int count, int width, int height, int channels) {
    if (count != 2) return false;
    const Piece &a = pieces[0], &b = pieces[1];
    if (!a.frame || !b.frame || !b.plane || !a.base || a.layer.weight != 1.f || b.layer.weight != 1.f) return false;
    if (b.layer.top > 0.f || b.layer.bottom < (float)height) return false;
    const bool planar = out_x == 1 && a.pixel_stride == 1 && b.pixel_stride == 1;
    const bool packed = channels == 3 && out_x == 3 && out_c == 1 && a.pixel_stride == 3 && a.channel_stride == 1 && b.pixel_stride == 3 &&
                        b.channel_stride == 1;
    if (!planar && !packed) return false;
    const i64 row = packed ? 3 * (i64)width : width;
    const bool dense = out_y == row && a.row_stride == row && b.row_stride == row;
    Opened<T> at = {out, (const T*)a.frame, (const T*)b.frame, out_c, a.channel_stride, b.channel_stride, b.plane};
    for (int y = 0; y < (dense ? 1 : height); ++y) {
        if (packed)
            open_run<T, 3>(at, b.layer, 1, dense ? width * height : width);
        else
            open_run<T, 1>(at, b.layer, channels, dense ? width * height : width);
        at.out += out_y, at.a += a.row_stride, at.b += b.row_stride, at.time += width;
    }
    return true;
}

}  // namespace
