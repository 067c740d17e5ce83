// Renders a batch of plans: one thread per output pixel, all channels. TYPE, CHANNELS and TAPS (0: read from the job)
// come from cuda.py. A block works on one output frame.
#include "pixel.cuh"

extern "C" __global__ void __launch_bounds__(256) gpuaug_render(const char* bytes, i64 blocks_per_frame) {
    const RenderJob& job = *(const RenderJob*)bytes;
    const int taps = TAPS ? TAPS : (int)job.k;
    i64 nt = blockIdx.x / blocks_per_frame;
    i64 n = nt / job.t, t = nt - n * job.t;
    int width = (int)job.x, height = (int)job.y;
    i64 pixel = (blockIdx.x - nt * blocks_per_frame) * blockDim.x + threadIdx.x;
    if (pixel >= (i64)width * height) return;
    int y = (int)(pixel / width), x = (int)(pixel - (i64)y * width);

    float value[CHANNELS];
    for (int c = 0; c < CHANNELS; ++c) value[c] = 0.f;
    for (int k = 0; k < taps; ++k) {
        i64 tap = nt * taps + k;
        RenderSource source = find_clip<RenderSource>(bytes, job.taps, tap);
        if (source.address == 0) continue;
        const Axis* axes = at<Axis>(bytes, job.axes) + 2 * (n * job.axes_n + t * job.axes_t + k * job.axes_k);
        Sample sy = sample(axes[0], y, height, (int)source.height), sx = sample(axes[1], x, width, (int)source.width);
        const u8* frame = (const u8*)source.address + at<int>(bytes, job.taps.frame)[tap] * source.frame_stride;
        const u8* top = frame + sy.first * source.row_stride;
        const u8* bottom = frame + sy.second * source.row_stride;
        float weight = at<float>(bytes, job.taps.weight)[tap];
        for (int c = 0; c < CHANNELS; ++c) {
            i64 left = (i64)sx.first * CHANNELS + c, right = (i64)sx.second * CHANNELS + c;
            float at_left = mix(load(top[left]), load(bottom[left]), sy.part);
            float at_right = mix(load(top[right]), load(bottom[right]), sy.part);
            value[c] += weight * mix(at_left, at_right, sx.part);
        }
    }
    const float* matrix = at<float>(bytes, job.colors) + n * job.colors_n * CHANNELS * (CHANNELS + 1);
    TYPE* to = (TYPE*)job.out + n * job.out_n + t * job.out_t + y * job.out_y + x * job.out_x;
    for (int c = 0; c < CHANNELS; ++c) to[c * job.out_c] = Cast<TYPE>::of(color<CHANNELS>(matrix, value, c));
}
