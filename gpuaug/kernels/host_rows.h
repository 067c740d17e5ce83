// Rows of pixels, as render and compose make them on the CPU: mixed, coloured, cast and written.
#pragma once
#include "host.h"

namespace {

const int PAD = 64;  // floats of scratch memory beyond the end of a row

struct Rows {  // scratch memory; every row has PAD floats to spare
    float* source;  // a source row, taps and rows mixed
    float* pixels;  // an output row
    float* planes;  // … normalised
    float* typed;   // … cast
};

bool equal(const Axis& a, const Axis& b) {
    return a.base == b.base && a.start == b.start && a.step == b.step && a.low == b.low && a.high == b.high;
}

// row (+)= a * top + b * bottom
template <bool FIRST, typename Src>
GPUAUG_FN void mix_rows(float* RESTRICT row, const Src* RESTRICT top, const Src* RESTRICT bottom, float a, float b, int n) {
    for (int i = 0; i < n; ++i) {
        float value = a * load(top[i]) + b * load(bottom[i]);
        row[i] = FIRST ? value : row[i] + value;
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

// n values and no more, which saves the copy of cast_row; quick where n is a multiple of 16 and Out has 2 bytes
template <typename Out> GPUAUG_FN void cast_exact(Out* RESTRICT out, const float* RESTRICT values, int n) {
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
            if (n % 16 == 0 && sizeof(Out) == 2) {
                for (int c = 0; c < 3; ++c) cast_exact(out + c * step_c, rows.planes + c * n, n);
            } else {
                cast_row(typed, rows.planes, 3 * n);
                for (int c = 0; c < 3; ++c) memcpy((void*)(out + c * step_c), typed + c * n, (size_t)n * sizeof(Out));
            }
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

}  // namespace
