// What each tap of a frame shows of an output row, on the CPU: shares, from the last tap to the first. Many rows are simple:
// a mask that is open or closed all along, a place over the whole width. Their shares are one number, not one per pixel.
#pragma once
#include "host_rows.h"
#include "layers.cuh"

namespace {

struct Place { int left; float part; };  // where the left source pixel's values begin, and the weight of the right one

struct Piece {  // a tap of a frame
    Layer layer;
    const char* frame;   // 0 for a colour
    i64 row_stride, pixel_stride, channel_stride;
    int height, width;
    const Axis* axes;
    const u16* plane;    // 0: no mask
    Place* places;       // per sample along x
    float* columns;      // per output pixel: how much of it the place covers, along x
    float* share;        // memory for its share of every output pixel
    float* row;          // source pixels of the row in work, mixed from the rows around it
    bool base;           // the first tap, which covers everything
    bool copies;         // output pixel x is source pixel places[0].left / CH + x
    int from, to;        // output pixels of which the place covers something
    bool solid;          // … all of them wholly
    int leader, twin;    // first piece that reads the same columns; that reads the same rows of the same frame
    // of the row in work:
    float down;          // the weight, times how much of the row the place covers
    int begin, end;      // where it shows
    const float* shown;  // its share of every output pixel there, or, where it is `even`, `level`
    bool even;
    bool hard;           // shares are 0 or 1, of all that there is
    float level;
    int group, members;  // first of so many pieces that are mixed before they are sampled
    int source;          // the piece in whose `row` its pixels are …
    int low, high;       // … of which they are there
};

struct Rest {  // what the taps above leave of the row in work
    float* values;  // per output pixel, unless `even`
    int begin, end;
    bool even;
    float level;
};

// The first and last of some values that are not 0: near the ends, or else by looking at all of them at once.
GPUAUG_FN void trim(const float* RESTRICT values, int& begin, int& end) {
    for (int i = 0; i < 8 && begin < end && values[begin] == 0.f; ++i) ++begin;
    for (int i = 0; i < 8 && begin < end && values[end - 1] == 0.f; ++i) --end;
    if (begin == end || (values[begin] != 0.f && values[end - 1] != 0.f)) return;
    int first = end, last = begin - 1;
    for (int x = begin; x < end; ++x) {
        const int low = values[x] != 0.f ? x : end, high = values[x] != 0.f ? x : -1;
        first = low < first ? low : first;
        last = high > last ? high : last;
    }
    begin = first, end = last + 1 > first ? last + 1 : first;
}

enum { OPEN, HARD, SOFT, SMOOTHED };  // masks: none, with a hard edge, a soft one, one that is smooth besides

// share = rest · part of the pixel that is shown; rest -= share. PLAIN: over all of the row, of which nothing is taken yet.
template <int MASK, bool PLAIN>
GPUAUG_FN void share_pixels(float* RESTRICT share, float* RESTRICT rest, const Piece& piece, const u16* RESTRICT plane, int begin, int end) {
    const float* RESTRICT columns = piece.columns;
    const float limit = piece.layer.limit, scale = piece.layer.scale, down = piece.down;
    for (int x = begin; x < end; ++x) {
        float a = 1.f;
        if (MASK == HARD) a = opened(limit, 0.f, false, (float)plane[x]);
        if (MASK >= SOFT) a = softened(limit, scale, MASK == SMOOTHED, (float)plane[x]);
        if (!PLAIN) a = a * down * columns[x];
        share[x] = PLAIN ? a : a * rest[x];
        rest[x] = PLAIN ? 1.f - a : rest[x] * (1.f - a);
    }
}

template <int MASK> GPUAUG_FN void share_masked(Piece& piece, Rest& rest, const u16* plane, int begin, int end) {
    const bool all = begin == rest.begin && end == rest.end;
    if (MASK != OPEN && rest.even && rest.level == 1.f && all && piece.solid && piece.down == 1.f) {
        share_pixels<MASK, true>(piece.share, rest.values, piece, plane, begin, end);
        piece.hard = MASK == HARD;
    } else {
        if (rest.even)
            for (int x = rest.begin; x < rest.end; ++x) rest.values[x] = rest.level;
        share_pixels<MASK, false>(piece.share, rest.values, piece, plane, begin, end);
    }
    rest.even = false;
}

GPUAUG_FN void share_row(Piece& piece, Rest& rest, int y, int outputs) {
    const Layer& layer = piece.layer;
    piece.begin = piece.end = 0, piece.hard = false;
    int begin = rest.begin > piece.from ? rest.begin : piece.from, end = rest.end < piece.to ? rest.end : piece.to;
    if (piece.down == 0.f || begin >= end) return;
    const u16* RESTRICT plane = piece.plane ? piece.plane + (i64)y * outputs : nullptr;
    float a = piece.down;
    bool even = piece.solid && rest.even;
    if (plane) {
        u16 low = plane[begin], high = low;
        for (int x = begin; x < end; ++x) low = plane[x] < low ? plane[x] : low, high = plane[x] > high ? plane[x] : high;
        const bool smooth = (layer.flags & SMOOTH) != 0;
        const float first = opened(layer.limit, layer.scale, smooth, (float)low);
        if (first == 0.f) return;
        even = even && first == opened(layer.limit, layer.scale, smooth, (float)high);
        a *= first;
    }
    const bool all = begin == rest.begin && end == rest.end;
    piece.even = even && (all || (a == 1.f && (begin == rest.begin || end == rest.end)));
    if (piece.even) {
        piece.begin = begin, piece.end = end, piece.level = a * rest.level;
        if (a != 1.f)
            rest.level *= 1.f - a;
        else if (begin == rest.begin)
            rest.begin = end;
        else
            rest.end = begin;
        return;
    }
    piece.shown = piece.share;
    if (!plane && a == 1.f && all && piece.solid) {  // all that is left, which is not even
        piece.shown = rest.values, piece.begin = begin, piece.end = end;
        rest.begin = rest.end;
        return;
    }
    if (!plane)
        share_masked<OPEN>(piece, rest, plane, begin, end);
    else if (layer.scale == 0.f)
        share_masked<HARD>(piece, rest, plane, begin, end);
    else if (layer.flags & SMOOTH)
        share_masked<SMOOTHED>(piece, rest, plane, begin, end);
    else
        share_masked<SOFT>(piece, rest, plane, begin, end);
    trim(piece.share, begin, end);
    trim(rest.values, rest.begin, rest.end);
    piece.begin = begin, piece.end = end;
}

// The shares of all pieces in a row; false where they are those of the row before.
GPUAUG_FN bool share_rows(Piece* pieces, int count, float* values, int y, int outputs) {
    bool same = y > 0;
    for (int k = 0; k < count; ++k) {
        Piece& piece = pieces[k];
        const float down = piece.layer.weight * (piece.base ? 1.f : covered(piece.layer.top, piece.layer.bottom, y));
        same = same && !piece.plane && down == piece.down;
        piece.down = down;
    }
    if (same) return false;
    Rest rest = {values, 0, outputs, true, 1.f};
    for (int k = count - 1; k >= 0; --k) share_row(pieces[k], rest, y, outputs);
    return true;
}

template <int CH> GPUAUG_FN void tabulate(Piece& piece, int outputs) {
    const Axis axis = piece.axes[1];
    const int count = piece.layer.across;
    const float per = piece.layer.per_across;
    Place* RESTRICT places = piece.places;
    if (count == 1) {
        for (int x = 0; x < outputs; ++x) {
            const Lerp s = sample_part(axis, x, 0, 1.f, outputs, piece.width);
            places[x] = {s.first * CH, s.second > s.first ? s.part : 0.f};
        }
    } else {
        for (int x = 0; x < outputs; ++x)
            for (int i = 0; i < count; ++i) {
                const Lerp s = sample_part(axis, x, i, per, outputs, piece.width);
                places[x * count + i] = {s.first * CH, s.second > s.first ? s.part : 0.f};
            }
    }
    int same = 1;
    for (int x = 0; x < outputs; ++x) same &= places[x].part == 0.f && places[x].left == places[0].left + x * CH;
    piece.copies = count == 1 && same;
}

// Where the place covers something, and whom the piece has its columns and rows in common with.
GPUAUG_FN void look(Piece* pieces, int k, int outputs) {
    Piece& piece = pieces[k];
    piece.from = 0, piece.to = outputs, piece.solid = true, piece.down = -1.f;
    for (int x = 0; x < outputs; ++x) {
        piece.columns[x] = piece.base ? 1.f : covered(piece.layer.left, piece.layer.right, x);
        piece.solid = piece.solid && (piece.columns[x] == 1.f || piece.columns[x] == 0.f);
    }
    trim(piece.columns, piece.from, piece.to);
    piece.leader = piece.twin = k;
    if (!piece.frame) return;
    for (int j = k - 1; j >= 0; --j) {
        const Piece& other = pieces[j];
        if (!other.frame || piece.layer.across != other.layer.across || piece.width != other.width) continue;
        if (piece.layer.across == 1 && equal(piece.axes[1], other.axes[1])) piece.leader = j;
        if (piece.frame == other.frame && piece.layer.down == other.layer.down && equal(piece.axes[0], other.axes[0])) piece.twin = j;
    }
}

// Which pieces are mixed before they are sampled, and which read the same row.
GPUAUG_FN void share_work(Piece* pieces, int count) {
    for (int k = 0; k < count; ++k) {
        Piece& piece = pieces[k];
        piece.group = k, piece.members = 1;
        if (piece.begin == piece.end || !piece.frame || !piece.even) continue;
        for (int j = piece.leader; j < k; ++j) {
            Piece& other = pieces[j];
            if (other.leader != piece.leader || !other.even || other.begin != piece.begin || other.end != piece.end) continue;
            piece.group = other.group, ++pieces[other.group].members;
            break;
        }
    }
    for (int k = 0; k < count; ++k) {
        Piece& piece = pieces[k];
        if (piece.begin == piece.end || !piece.frame) continue;
        const bool grouped = pieces[piece.group].members > 1;
        piece.source = grouped ? piece.group : k;
        for (int j = piece.twin; !grouped && j < k; ++j)
            if (pieces[j].begin < pieces[j].end && pieces[j].twin == piece.twin && pieces[pieces[j].group].members == 1) {
                piece.source = pieces[j].source;
                break;
            }
        const int samples = piece.layer.across;
        const int a = piece.places[piece.begin * samples].left, b = piece.places[piece.end * samples - 1].left;
        const int low = a < b ? a : b, high = a < b ? b : a;
        Piece& owner = pieces[piece.source];
        owner.low = piece.source == k || low < owner.low ? low : owner.low;
        owner.high = piece.source == k || high > owner.high ? high : owner.high;
    }
}

}  // namespace
