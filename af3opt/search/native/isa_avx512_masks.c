/* AVX-512 for Intel's processors; see isa_avx512.c. */
#define AVX512_MASKS
#include "isa_avx512.c"
