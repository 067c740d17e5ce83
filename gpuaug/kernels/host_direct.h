// Frames whose pieces show source pixels as they are, on the CPU: nothing is sampled. What one piece has all of is copied,
// what two have is mixed from their memory to the output's; rows, or frames without masks, whose values lie side by side
// are one run.
#pragma once
#include "host_layers.h"

namespace {

// Whether the piece shows source pixel (y, x) in output pixel (y, x), everywhere; a colour does, too.
GPUAUG_FN bool direct(const Piece& piece, int width, int height) {
    if (piece.from != 0 || piece.to != width || !piece.solid) return false;
    if (!piece.frame) return true;
    if (!piece.copies || piece.places[0].left != 0 || piece.layer.down != 1) return false;
    int same = 1;
    for (int y = 0; y < height; ++y) {
        const Lerp s = sample_part(piece.axes[0], y, 0, 1.f, height, piece.height);
        same &= s.first == y && (s.part == 0.f || s.second == s.first);
    }
    return same;
}

template <typename T> struct Source {  // of a run: values of a piece, or its colour, and their weights
    const T* from;
    i64 step;
    const float* weight;
    int weight_step;
    float color;
    int begin, end;
};

template <typename T> GPUAUG_FN void copy_run(T* RESTRICT out, i64 out_step, const Source<T>& a, int begin, int end) {
    const T* RESTRICT from = a.from;
    if (a.from && a.step == 1 && out_step == 1) {
        if (begin < end) memcpy((void*)(out + begin), (const void*)(from + begin), (size_t)(end - begin) * sizeof(T));
    } else {
        for (int x = begin; x < end; ++x) out[x * out_step] = a.from ? from[x * a.step] : Cast<T>::of(a.color);
    }
}

// out = weight · a + more, of one weight. UNIT: the values lie side by side.
template <typename T, bool UNIT>
GPUAUG_FN void shift_run(T* RESTRICT out, i64 out_step, const Source<T>& a, float weight, float more, int begin, int end) {
    const T* RESTRICT from = a.from;
    for (int x = begin; x < end; ++x) out[UNIT ? x : x * out_step] = Cast<T>::of(weight * load(from[UNIT ? x : x * a.step]) + more);
}

// UNIT: all values lie side by side, and so do the weights where they differ (EVEN: they do not).
template <typename T, bool UNIT, bool EVEN>
GPUAUG_FN void mix_run(T* RESTRICT out, i64 out_step, const Source<T>& a, const Source<T>& b, int begin, int end) {
    const T *RESTRICT from_a = a.from, *RESTRICT from_b = b.from;
    const float *RESTRICT weight_a = a.weight, *RESTRICT weight_b = b.weight;
    const float level_a = *weight_a, level_b = *weight_b;
    for (int x = begin; x < end; ++x) {
        const float wa = EVEN ? level_a : weight_a[UNIT ? x : x * a.weight_step], wb = EVEN ? level_b : weight_b[UNIT ? x : x * b.weight_step];
        float va = wa * load(from_a[UNIT ? x : x * a.step]), vb = wb * load(from_b[UNIT ? x : x * b.step]);
        if (sizeof(T) > 1) va = wa == 0.f ? 0.f : va, vb = wb == 0.f ? 0.f : vb;  // what has no share may be no number
        out[UNIT ? x : x * out_step] = Cast<T>::of(va + vb);
    }
}

template <typename T> GPUAUG_FN void sum_run(T* out, i64 out_step, const Source<T>* sources, int count, float* RESTRICT sum, int n) {
    for (int x = 0; x < n; ++x) sum[x] = 0.f;
    for (int k = 0; k < count; ++k) {
        const Source<T>& s = sources[k];
        for (int x = s.begin; x < s.end; ++x) {
            const float w = s.weight[x * s.weight_step], value = s.from ? load(s.from[x * s.step]) : s.color;
            sum[x] += w == 0.f ? 0.f : w * value;
        }
    }
    for (int x = 0; x < n; ++x) out[x * out_step] = Cast<T>::of(sum[x]);
}

// One run of n values, of which `count` pieces show something. SUMS: the shares of a value are 1 together.
template <typename T> GPUAUG_FN void show_run(T* out, i64 out_step, const Source<T>* sources, int count, bool sums, float* sum, int n) {
    const Source<T>&a = sources[0], &b = sources[1];
    if (sums && count == 1) {
        copy_run(out, out_step, a, 0, n);
        return;
    }
    const bool first = count == 2 && a.begin <= b.begin;
    const Source<T>&left = first ? a : b, &right = first ? b : a;
    const bool unit = out_step == 1 && a.step == 1 && b.step == 1, even = !a.weight_step && !b.weight_step;
    if (!sums || count != 2 || (even ? !a.from && !b.from : !a.from || !b.from)) {
        sum_run(out, out_step, sources, count, sum, n);
        return;
    }
    const int begin = right.begin, end = left.end < right.end ? left.end : right.end;
    copy_run(out, out_step, left, 0, begin);
    copy_run(out, out_step, left.end > right.end ? left : right, end, n);
    if (even && (!a.from || !b.from)) {
        const Source<T>&clip = a.from ? a : b, &paint = a.from ? b : a;
        if (out_step == 1 && clip.step == 1)
            shift_run<T, true>(out, 1, clip, *clip.weight, *paint.weight * paint.color, begin, end);
        else
            shift_run<T, false>(out, out_step, clip, *clip.weight, *paint.weight * paint.color, begin, end);
    } else if (unit && even) {
        mix_run<T, true, true>(out, 1, a, b, begin, end);
    } else if (unit && a.weight_step && b.weight_step) {
        mix_run<T, true, false>(out, 1, a, b, begin, end);
    } else {
        mix_run<T, false, false>(out, out_step, a, b, begin, end);
    }
}

// A frame of `height` rows of `width` pixels of `channels` values, of which all pieces are direct.
template <typename T>
GPUAUG_FN void direct_frame(T* out, i64 out_c, i64 out_y, i64 out_x, Piece* pieces, int count, Source<T>* sources, float* rest, float* sum,
                            float* wide, int width, int height, int channels) {
    const int row = width * channels;
    bool side = channels <= 4 && out_x == channels && (out_c == 1 || channels == 1), dense = true, masked = false;  // channels; rows; any mask
    const bool packed = side && out_y == row, planar = out_x == 1 && out_y == width && out_c == (i64)width * height;
    for (int k = 0; k < count; ++k) {
        const Piece& p = pieces[k];
        masked = masked || p.plane;
        side = side && (p.frame ? p.pixel_stride == channels && (p.channel_stride == 1 || channels == 1) : channels == 1);
        dense = dense && p.frame &&
                (packed ? p.pixel_stride == channels && (p.channel_stride == 1 || channels == 1) && p.row_stride == row
                        : planar && p.pixel_stride == 1 && p.row_stride == width && p.channel_stride == (i64)width * height);
    }
    const bool all = dense && !masked && count <= 2, sums = count > 0 && pieces[0].base && pieces[0].layer.weight == 1.f;
    for (int y = 0; y < (all ? 1 : height); ++y) {
        share_rows(pieces, count, rest, y, width);
        for (int c = 0; c < (all || side ? 1 : channels); ++c) {
            int shown = 0;
            for (int k = 0; k < count; ++k) {
                const Piece& p = pieces[k];
                if (p.begin == p.end) continue;
                const T* from = p.frame ? (const T*)p.frame + y * p.row_stride + c * p.channel_stride : nullptr;
                const int per = all ? row * height / width : side ? channels : 1;
                const float* weight = p.even ? &p.level : p.shown;
                if (!p.even && side && channels > 1) {
                    float* RESTRICT expanded = wide + (i64)shown * row;
                    for (int x = p.begin; x < p.end; ++x)
                        for (int i = 0; i < channels; ++i) expanded[x * channels + i] = weight[x];
                    weight = expanded;
                }
                const i64 step = all || side ? 1 : p.pixel_stride;
                sources[shown++] = {from, step, weight, !p.even, p.layer.color[channels == 3 ? c : 0], p.begin * per, p.end * per};
            }
            show_run(out + y * out_y + c * out_c, all || side ? (i64)1 : out_x, sources, shown, sums, sum, all ? row * height : side ? row : width);
        }
    }
}

}  // namespace
