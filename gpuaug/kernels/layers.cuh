// Plans whose taps lie over each other: what a tap's share of a pixel is. gpuaug/layers says what it means. Stands behind
// pixel.cuh.
#pragma once

struct ComposeJob {
    i64 n, t, k, y, x, c;
    Taps taps;                                   // rows are ComposeSource
    i64 out, out_n, out_t, out_c, out_y, out_x;  // address; strides in elements
    i64 axes, layers, planes;                    // offsets: Axis pairs (y then x) and Layer (N,T,K); u16 (M,Y,X)
    i64 colors, colors_n;                        // as in RenderJob
    i64 diagonal;
    i64 widest;                                  // greatest W
    i64 same;                                    // 1: the sources have the output's type; 0: bytes
    i64 packed;                                  // 1: three channels, side by side; 0: any number, each a plane
};
struct ComposeSource {  // strides in elements
    i64 address, frames, height, width, frame_stride, row_stride, pixel_stride, channel_stride;
};
struct ComposeLaunch {
    ComposeJob job;
    ComposeSource source;
    i64 bytes, first_n, first_t;
};

enum { COLOR = 1, SMOOTH = 2 };  // a colour instead of a clip; an edge that is not linear

// A tap beside its clip, frame and weight. What has no bound ends far beyond the output.
struct Layer {
    float weight;                    // its share where it is shown; the Taps' weight is 0 for colours, which have no clip
    float limit, scale;              // of the values of its plane: clamp((limit - s) * scale), or s < limit for scale 0
    float top, bottom, left, right;  // its place, in output pixels
    float color[3];                  // as the sources have it; planes of other than three channels have the first
    int plane;                       // of `planes`; -1: no mask
    int flags;                       // COLOR, SMOOTH
    int down, across;                // samples of a pixel: more than 1 for places that shrink their source by more than 2
    float per_down, per_across;      // 1 by these
};

// The part of pixel j of an axis between two bounds.
GPUAUG_FN float covered(float begin, float end, int j) {
    const float part = least(end, (float)j + 1.f) - most(begin, (float)j);
    return least(most(part, 0.f), 1.f);
}

// How much of a pixel with the value s of the time map a mask with an edge of some width shows.
GPUAUG_FN float softened(float limit, float scale, bool smooth, float s) {
    const float soft = least(most((limit - s) * scale, 0.f), 1.f);
    return smooth ? soft * soft * (3.f - 2.f * soft) : soft;
}

// … and a mask of any edge.
GPUAUG_FN float opened(float limit, float scale, bool smooth, float s) {
    const float hard = s < limit ? 1.f : 0.f, soft = softened(limit, scale, smooth, s);
    return scale > 0.f ? soft : hard;
}

// Where sample i of a pixel's is, of output pixel j along an axis; `per` is 1 by their number.
GPUAUG_FN Lerp sample_part(const Axis& axis, int j, int i, float per, int outputs, int pixels) {
    const float place = (float)j + fused((float)i + 0.5f, per, -0.5f);
    return sample_at(axis, axis.step < 0.f ? (float)(outputs - 1) - place : place, pixels);
}
