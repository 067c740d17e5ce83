// Source rows of the pieces of host_layers.h, sampled and summed up in an output row, on the CPU: one by one or, which saves
// reading and writing the sum, two at a time. Pixels are set by the first pass over them, and added to by others.
#pragma once
#include "host_layers.h"

namespace {

struct Pass {  // pixels of a source row that go into an output row
    const float* row;
    const Piece* piece;
    const float* weight;  // per output pixel; `step` 0: one for all
    int step;
};

struct Filled { int begin, end; };  // output pixels that have a value

// The pixel of a pass that output pixel x shows, times its weight. SAFE: what has none is left out, also where it is no number.
template <int CH, int STRIDE, bool SAFE> GPUAUG_FN void weighted(float* value, const float* row, const Place& place, float weight) {
    const float* pixel = row + place.left;
    const float part = place.part;
    for (int c = 0; c < STRIDE; ++c) {
        const float mixed = weight * mix(pixel[c], pixel[c + CH], part);
        value[c] = SAFE && weight == 0.f ? 0.f : mixed;
    }
}

// Output pixels begin … end − 1 (+)= one pass, or two at once: TWO, or SAME, which read the same columns.
enum { ONE, TWO, SAME };
template <bool FIRST, int PASSES, int CH, int STRIDE, bool SAFE>
GPUAUG_FN void add_passes(float* RESTRICT pixels, const Pass& a, const Pass& b, int begin, int end) {
    const float *RESTRICT row_a = a.row, *RESTRICT row_b = b.row;
    const Place *RESTRICT places_a = a.piece->places, *RESTRICT places_b = PASSES == TWO ? b.piece->places : places_a;
    for (int x = begin; x < end; ++x) {
        float value[STRIDE], more[STRIDE];
        weighted<CH, STRIDE, SAFE>(value, row_a, places_a[x], a.weight[x * a.step]);
        if (PASSES != ONE) {
            weighted<CH, STRIDE, SAFE>(more, row_b, places_b[x], b.weight[x * b.step]);
            for (int c = 0; c < STRIDE; ++c) value[c] += more[c];
        }
        for (int c = 0; c < STRIDE; ++c) value[c] = FIRST ? value[c] : pixels[x * STRIDE + c] + value[c];
        for (int c = 0; c < STRIDE; ++c) pixels[x * STRIDE + c] = value[c];
    }
}

// … = of two passes that read the same columns the one which has all of the pixel.
template <int CH, int STRIDE> GPUAUG_FN void choose_pass(float* RESTRICT pixels, const Pass& a, const Pass& b, int begin, int end) {
    const Place* RESTRICT places = a.piece->places;
    const i64 apart = b.row - a.row;  // in one block of scratch memory
    for (int x = begin; x < end; ++x) {
        float value[STRIDE];
        const i64 all = -(i64)(to_bits(b.weight[x]) >> 23 & 1);  // of the bits of 1 or 0; no branch that noise would fool
        weighted<CH, STRIDE, false>(value, a.row + (all & apart), places[x], 1.f);
        for (int c = 0; c < STRIDE; ++c) pixels[x * STRIDE + c] = value[c];
    }
}

// … += one pass whose output pixels are source pixels, or means of several samples.
template <int CH, int STRIDE, bool SAFE> GPUAUG_FN void add_others(float* RESTRICT pixels, const Pass& a, int begin, int end) {
    const Piece& piece = *a.piece;
    const int count = piece.layer.across;
    if (piece.copies) {
        const float* RESTRICT from = a.row + piece.places[0].left;
        for (int x = begin; x < end; ++x)
            for (int c = 0; c < STRIDE; ++c) {
                const float w = a.weight[x * a.step], value = w * from[x * CH + c];
                pixels[x * STRIDE + c] += SAFE && w == 0.f ? 0.f : value;
            }
        return;
    }
    for (int i = 0; i < count; ++i)
        for (int x = begin; x < end; ++x) {
            float value[STRIDE];
            const float w = a.weight[x * a.step] * piece.layer.per_across;
            weighted<CH, STRIDE, SAFE>(value, a.row, piece.places[x * count + i], w);
            for (int c = 0; c < STRIDE; ++c) value[c] += pixels[x * STRIDE + c];
            for (int c = 0; c < STRIDE; ++c) pixels[x * STRIDE + c] = value[c];
        }
}

GPUAUG_FN void clear(float* pixels, int begin, int end) {
    for (int x = begin; x < end; ++x) pixels[x] = 0.f;
}

// Whether output pixels begin … end − 1 are to be set; else all of them have a value by then, to which others are added.
template <int STRIDE> GPUAUG_FN bool fresh(float* pixels, Filled& filled, int begin, int end) {
    const Filled before = filled.begin < filled.end ? filled : Filled{begin, begin};
    const bool apart = end <= before.begin || begin >= before.end;
    filled = {begin < before.begin ? begin : before.begin, end > before.end ? end : before.end};
    if (begin < before.begin) clear(pixels, (apart ? end : begin) * STRIDE, before.begin * STRIDE);
    if (end > before.end) clear(pixels, before.end * STRIDE, (apart ? begin : end) * STRIDE);
    return apart;
}

template <int PASSES, int CH, int STRIDE, bool SAFE>
GPUAUG_FN void show(float* pixels, Filled& filled, const Pass& a, const Pass& b, int begin, int end) {
    if (begin >= end) return;
    const bool set = fresh<STRIDE>(pixels, filled, begin, end);
    if (PASSES == ONE && (a.piece->copies || a.piece->layer.across > 1)) {
        if (set) clear(pixels, begin * STRIDE, end * STRIDE);
        add_others<CH, STRIDE, SAFE>(pixels, a, begin, end);
    } else if (set) {
        add_passes<true, PASSES, CH, STRIDE, SAFE>(pixels, a, b, begin, end);
    } else {
        add_passes<false, PASSES, CH, STRIDE, SAFE>(pixels, a, b, begin, end);
    }
}

// Output pixels that both show.
GPUAUG_FN int common(const Pass& a, const Pass& b) {
    const int begin = a.piece->begin > b.piece->begin ? a.piece->begin : b.piece->begin;
    return (a.piece->end < b.piece->end ? a.piece->end : b.piece->end) - begin;
}

// Two passes: together where both show. `alone`: there are no others.
template <int CH, int STRIDE, bool SAFE> GPUAUG_FN void show_both(float* pixels, Filled& filled, const Pass& a, const Pass& b, bool alone) {
    const Piece &first = *a.piece, &second = *b.piece;
    const bool plain = !first.copies && !second.copies && first.layer.across == 1 && second.layer.across == 1;
    const int size = plain ? common(a, b) : 0, end = first.end < second.end ? first.end : second.end, begin = end - size;
    if (size <= 0) {
        show<ONE, CH, STRIDE, SAFE>(pixels, filled, a, a, first.begin, first.end);
        show<ONE, CH, STRIDE, SAFE>(pixels, filled, b, b, second.begin, second.end);
        return;
    }
    if (alone && second.hard && first.leader == second.leader && fresh<STRIDE>(pixels, filled, begin, end))
        choose_pass<CH, STRIDE>(pixels, a, b, begin, end);
    else if (first.leader == second.leader)
        show<SAME, CH, STRIDE, SAFE>(pixels, filled, a, b, begin, end);
    else
        show<TWO, CH, STRIDE, SAFE>(pixels, filled, a, b, begin, end);
    const Pass &before = first.begin < begin ? a : b, &behind = first.end > end ? a : b;
    show<ONE, CH, STRIDE, SAFE>(pixels, filled, before, before, before.piece->begin, begin);
    show<ONE, CH, STRIDE, SAFE>(pixels, filled, behind, behind, end, behind.piece->end);
}

template <bool FIRST, int STRIDE> GPUAUG_FN void add_color(float* RESTRICT pixels, const float* color, const float* share, int step, int begin, int end) {
    const float* RESTRICT weight = share;
    for (int x = begin; x < end; ++x)
        for (int i = 0; i < STRIDE; ++i) {
            const float value = weight[x * step] * color[i];
            pixels[x * STRIDE + i] = FIRST ? value : pixels[x * STRIDE + i] + value;
        }
}

template <int CH, int STRIDE> GPUAUG_FN void show_color(float* pixels, Filled& filled, const Piece& piece, int c) {
    float color[4] = {0.f, 0.f, 0.f, 0.f};
    for (int i = 0; i < CH; ++i) color[i] = piece.layer.color[CH == 3 ? i : c];
    const float* share = piece.even ? &piece.level : piece.shown;
    if (fresh<STRIDE>(pixels, filled, piece.begin, piece.end))
        add_color<true, STRIDE>(pixels, color, share, !piece.even, piece.begin, piece.end);
    else
        add_color<false, STRIDE>(pixels, color, share, !piece.even, piece.begin, piece.end);
}

}  // namespace
