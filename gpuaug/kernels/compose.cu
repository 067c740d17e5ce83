// Renders and blends plans whose taps lie over each other. TYPE, CHANNELS (3: packed ones; 1: planes, any number), SAME
// (1: the sources have the output's type; 0: bytes), ONE (1: one tensor holds all clips) and THREADS come from cuda.py.
// A thread makes a pixel of an output frame, in planes a value: from the last tap to the first, until nothing is left to
// be seen through. The grid is (blocks of a frame, T, N).
#include "pixel.cuh"
#include "layers.cuh"

#if SAME
typedef TYPE Source;
#else
typedef u8 Source;
#endif

// The mean of a source's samples in an output pixel.
GPUAUG_FN void read_pixel(const ComposeJob& job, const ComposeSource& source, const Source* frame, const Layer& layer,
                          const Axis* axes, int y, int x, float value[CHANNELS]) {
    const int down = layer.down, across = layer.across;
    for (int c = 0; c < CHANNELS; ++c) value[c] = 0.f;
    for (int i = 0; i < down; ++i) {
        const Lerp row = sample_part(axes[0], y, i, layer.per_down, (int)job.y, (int)source.height);
        const Source *top = frame + row.first * source.row_stride, *bottom = frame + row.second * source.row_stride;
        for (int j = 0; j < across; ++j) {
            const Lerp column = sample_part(axes[1], x, j, layer.per_across, (int)job.x, (int)source.width);
            const i64 left = column.first * source.pixel_stride, right = column.second * source.pixel_stride;
            for (int c = 0; c < CHANNELS; ++c) {
                float above = load(top[left + c]), below = above;  // what has no weight is not read: it may be no number
                if (column.part > 0.f) above = mix(above, load(top[right + c]), column.part);
                if (row.part > 0.f) {
                    below = load(bottom[left + c]);
                    if (column.part > 0.f) below = mix(below, load(bottom[right + c]), column.part);
                    above = mix(above, below, row.part);
                }
                value[c] += above;
            }
        }
    }
    const float per = layer.per_down * layer.per_across;
    if (per != 1.f)
        for (int c = 0; c < CHANNELS; ++c) value[c] *= per;
}

extern "C" __global__ void __launch_bounds__(THREADS) gpuaug_compose(const __grid_constant__ ComposeLaunch p) {
    const ComposeJob& job = p.job;
    const char* bytes = (const char*)p.bytes;
    const u32 thread = blockIdx.x * THREADS + threadIdx.x, pixels = (u32)(job.y * job.x);
    const u32 plane = CHANNELS == 3 ? 0 : thread / pixels, pixel = CHANNELS == 3 ? thread : thread - plane * pixels;
    if (pixel >= pixels || (CHANNELS == 1 && plane >= (u32)job.c)) return;
    const int y = (int)(pixel / (u32)job.x), x = (int)(pixel - (u32)y * (u32)job.x);
    const i64 n = p.first_n + blockIdx.z, t = p.first_t + blockIdx.y, nt = n * job.t + t;

    float value[CHANNELS], left = 1.f;
    for (int c = 0; c < CHANNELS; ++c) value[c] = 0.f;
#pragma unroll 1
    for (int k = (int)job.k - 1; k >= 0 && left > 0.f; --k) {
        const i64 tap = nt * job.k + k;
        const Layer& layer = at<Layer>(bytes, job.layers)[tap];
        float share = layer.weight;
        if (k > 0 && share != 0.f) {
            share *= covered(layer.top, layer.bottom, y) * covered(layer.left, layer.right, x);
            if (share != 0.f && layer.plane >= 0) {
                const u16 s = at<u16>(bytes, job.planes)[(i64)layer.plane * pixels + pixel];
                share *= opened(layer.limit, layer.scale, (layer.flags & SMOOTH) != 0, (float)(int)s);
            }
        }
        if (share == 0.f) continue;
        float shown[CHANNELS];
        if (layer.flags & COLOR) {
            for (int c = 0; c < CHANNELS; ++c) shown[c] = layer.color[CHANNELS == 3 ? c : (int)plane];
        } else {
            const ComposeSource source = find_clip<ComposeSource>(bytes, job.taps, tap, ONE ? &p.source : 0);
            if (source.address == 0) continue;
            const Source* frame = (const Source*)source.address + at<int>(bytes, job.taps.frame)[tap] * source.frame_stride;
            frame += plane * source.channel_stride;
            read_pixel(job, source, frame, layer, at<Axis>(bytes, job.axes) + 2 * tap, y, x, shown);
        }
        const float seen = left * share;
        for (int c = 0; c < CHANNELS; ++c) value[c] = fused(seen, shown[c], value[c]);
        left *= 1.f - share;
    }
    const float* matrix = at<float>(bytes, job.colors) + n * job.colors_n * CHANNELS * (CHANNELS + 1);
    TYPE* to = (TYPE*)job.out + n * job.out_n + t * job.out_t + plane * job.out_c + y * job.out_y + x * job.out_x;
    for (int c = 0; c < CHANNELS; ++c) {
        const float made = job.diagonal ? fused(matrix[c * (CHANNELS + 1) + c], value[c], matrix[c * (CHANNELS + 1) + CHANNELS])
                                        : color<CHANNELS>(matrix, value, c);
        to[c * job.out_c] = Cast<TYPE>::of(made);
    }
}
