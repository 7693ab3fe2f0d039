/**
 * WebGPU where there is no graphics processor: Chromium's SwiftShader computes shaders on the processor. It has no `shader-f16`, and takes half a minute for what a
 * graphics processor does in a hundredth of a second. Its library lies beside the executable that npm carries.
 */
export const SOFTWARE_GPU_FLAGS: readonly string[] = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-unsafe-swiftshader',
];

/** WebGPU on this machine's own graphics processor, without a window. Not tried: no machine at hand had one. */
export const GPU_FLAGS: readonly string[] = [
  '--enable-unsafe-webgpu',
  '--ignore-gpu-blocklist',
  '--enable-features=Vulkan',
];
