// The mark of a function that both the host and a CUDA device run. Includes nothing.
#pragma once

#ifdef __CUDACC__
#define HEARTH_HOST_DEVICE __host__ __device__
#else
#define HEARTH_HOST_DEVICE
#endif
