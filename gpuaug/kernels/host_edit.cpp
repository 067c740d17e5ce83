// The edits of gpuaug/edits.py on dense frames, planned and executed in one call. Plain C interface for ctypes. What a
// frame shows stands in edits.py, rule by rule; here only what is right is told from what is not.
#include "host.h"

namespace {

enum Edit { CROSSFADE, PASTE, RESAMPLE_SPEED, TAKE };

struct Side { i64 address, frames, clip_step, frame_step; };  // steps in bytes
struct Values { i64 offset, step; };                           // doubles, `step` of them from sample to sample

struct EditJob {
    i64 edit, n, t, per_frame, out;  // per_frame: elements of a frame
    Side sides[2];                   // the second of an edit of one clip is not read
    Values values[3];                // in the order in which edits.py names them
};

struct Mix { i64 first, second; float weight; };  // frames of the two sides, and the weight of the second

bool whole(double x) { return x == floor(x); }  // not NaN
bool within(double x, double low, double high) { return low <= x && x <= high; }

// Position of output frame i after a change of speed.
double position(double change, double rate, double i) {
    volatile double moved = rate * (i - change + 1);  // rounded as NumPy rounds it: no fused multiply-add
    return i < change ? i : change - 1 + moved;
}

// Whether a sample's values keep the rules.
bool fits(const EditJob& job, const double* const* values) {
    const double t = (double)job.t, a_frames = (double)job.sides[0].frames, b_frames = (double)job.sides[1].frames;
    const double x = values[0][0], y = values[1][0], z = values[2][0];
    if (job.edit == CROSSFADE) {
        const double half = floor(y / 2), begin = x - half, end = x + half;
        return whole(x) && y == 2 * half && half >= 0 && begin >= 0 && end <= (t < a_frames ? t : a_frames) &&
               (t - begin <= b_frames || x == t);
    }
    if (job.edit == PASTE)
        return whole(x) && whole(y) && x >= 0 && x <= y && y <= t && y - x <= b_frames && within(z, 0, 1);
    if (job.edit == RESAMPLE_SPEED)
        return whole(x) && within(x, 1, t) && y > 0 && y < INFINITY && floor(position(x, y, t - 1) + 0.5) < a_frames;
    for (i64 i = 0; i < job.t; ++i)
        if (!whole(values[0][i]) || !within(values[0][i], 0, a_frames - 1)) return false;
    return true;
}

// What output frame i of a sample shows.
Mix plan(const EditJob& job, i64 i, const double* const* values) {
    const double x = values[0][0], y = values[1][0];
    if (job.edit == CROSSFADE) {
        const double step = i - (x - y / 2);
        const double weight = y > 0 ? (step + 1) / y : i >= x;
        return {i, (i64)step, (float)(weight < 0 ? 0 : weight > 1 ? 1 : weight)};
    }
    if (job.edit == PASTE) return {i, i - (i64)x, i >= x && i < y ? (float)values[2][0] : 0.f};
    if (job.edit == RESAMPLE_SPEED) return {(i64)floor(position(x, y, (double)i) + 0.5), 0, 0.f};
    return {(i64)values[0][i], 0, 0.f};
}

// The values of sample n.
void find(const EditJob& job, i64 n, const double** values) {
    for (int k = 0; k < 3; ++k) values[k] = at<double>(&job, job.values[k].offset) + n * job.values[k].step;
}

}  // namespace

// dtype as for gpuaug_blend. Returns 0; 1 where there is no memory for scratch; 2 where a value breaks a rule of its
// edit, and then nothing was written.
EXPORT int gpuaug_edit(const char* bytes, int dtype, int threads) {
    const EditJob& job = *(const EditJob*)bytes;
    const double* values[3];
    for (i64 n = 0; n < job.n; ++n) {
        find(job, n, values);
        if (!fits(job, values)) return 2;
    }
    const MixFrame mix = mixer(dtype);
    const i64 size = job.per_frame * (dtype == 0 ? 1 : dtype == 3 ? 4 : 2);
    if (job.n * job.t * size < 1 << 20) threads = 1;  // copied before another thread has begun
    return for_frames(job.n * job.t, threads, 0, [&](i64 nt, char*) {
        const i64 n = nt / job.t;
        const double* own[3];
        find(job, n, own);
        const Mix shown = plan(job, nt % job.t, own);
        const Side &a = job.sides[0], &b = job.sides[1];
        mix((char*)job.out + nt * size, (const char*)a.address + n * a.clip_step + shown.first * a.frame_step,
            (const char*)b.address + n * b.clip_step + shown.second * b.frame_step, shown.weight, job.per_frame);
    });
}
