/* 64 positions a vector: AVX-512 with byte instructions (Intel since Skylake-SP, AMD since Zen 4).
 *
 * Compiled twice. Intel's processors have one unit for additions and maxima of 512 bits and
 * another for comparisons: with masks (isa_avx512_masks.c) both are busy, and a residue of Q
 * vectors takes Q + 1 cycles in place of 2 Q. AMD's have enough units for maxima.
 */
#include <string.h>

#include "kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LANES 64
#define MOST_VECTORS 16
#ifdef AVX512_MASKS
#define PAIRED_VECTORS 3
#else
#define PAIRED_VECTORS 6
#endif
#define TARGET __attribute__((target("avx512f,avx512bw")))
typedef __m512i Vector;

#define FILL(byte) _mm512_set1_epi8((char)(byte))
#define LOAD(pointer) _mm512_load_si512((const void *)(pointer))
#define ADD(a, b) _mm512_adds_epi8(a, b)
#define MAX(a, b) _mm512_max_epi8(a, b)
#define ROTATE(v) \
  _mm512_alignr_epi8(v, _mm512_shuffle_i64x2(v, v, _MM_SHUFFLE(2, 1, 0, 3)), 15)
#define ENTER(v, border)                                                               \
  _mm512_alignr_epi8(v,                                                                \
                     _mm512_mask_shuffle_i64x2(                                        \
                         _mm512_castsi128_si512(                                       \
                             _mm_loadu_si128((const __m128i *)(const void *)((border)-15))), \
                         0xfc, v, v, _MM_SHUFFLE(2, 1, 0, 3)),                         \
                     15)
#define LEAVE(v, border) \
  _mm_storeu_si128((__m128i *)(void *)((border)-15), _mm512_extracti32x4_epi32(v, 3))
#define REACHES(v, byte) (_mm512_cmpge_epi8_mask(v, FILL(byte)) != 0)
#ifdef AVX512_MASKS
#define MASKED
typedef __mmask64 Mask;
#define ALL_BELOW(x, y, z) \
  (_kortestc_mask64_u8(_kand_mask64(x, y), 0) && _kortestc_mask64_u8(z, 0))
#endif
#include "step_x86.h"
#include "lanes.h"

DEFINE_WHOLE(1) DEFINE_WHOLE(2) DEFINE_WHOLE(3) DEFINE_WHOLE(4) DEFINE_WHOLE(5) DEFINE_WHOLE(6)
DEFINE_WHOLE(7) DEFINE_WHOLE(8) DEFINE_WHOLE(9) DEFINE_WHOLE(10) DEFINE_WHOLE(11)
DEFINE_WHOLE(12) DEFINE_WHOLE(13) DEFINE_WHOLE(14) DEFINE_WHOLE(15) DEFINE_WHOLE(16)
DEFINE_PARTS(9) DEFINE_PARTS(10) DEFINE_PARTS(11) DEFINE_PARTS(12)
DEFINE_PARTS(13) DEFINE_PARTS(14) DEFINE_PARTS(15) DEFINE_PARTS(16)

static Search *const WHOLE[] = {whole_1,  whole_2,  whole_3,  whole_4,  whole_5,  whole_6,
                                whole_7,  whole_8,  whole_9,  whole_10, whole_11, whole_12,
                                whole_13, whole_14, whole_15, whole_16};
/* A second part means that more than half of the most vectors are in use. */
static Search *const PARTS[] = {parts_9,  parts_10, parts_11, parts_12,
                                parts_13, parts_14, parts_15, parts_16};

static void search(const Query *query, const Block *block, uint8_t *kept) {
  if (query->parts == 1)
    WHOLE[query->vectors - 1](query, block, kept);
  else
    PARTS[query->vectors - 9](query, block, kept);
}

static TARGET void classify(const uint8_t *text, size_t words, uint64_t *others,
                            uint64_t *ends) {
  const __m512i lower = FILL(0x20), a = FILL('a'), alphabet = FILL(26);
  for (size_t word = 0; word < words; word++) {
    const __m512i bytes = _mm512_loadu_si512(text + word * LANES);
    const __m512i place = _mm512_sub_epi8(_mm512_or_si512(bytes, lower), a);
    others[word] = _mm512_cmpge_epu8_mask(place, alphabet);
    ends[word] = _mm512_cmpeq_epi8_mask(bytes, FILL('\n')) |
                 _mm512_cmpeq_epi8_mask(bytes, FILL('\r'));
  }
}

static Use usable(void) {
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw")) return UNUSABLE;
#ifdef AVX512_MASKS
  return __builtin_cpu_is("intel") ? PREFERRED : USABLE;
#else
  return __builtin_cpu_is("intel") ? USABLE : PREFERRED;
#endif
}

#ifdef AVX512_MASKS
const Isa ISA_AVX512_MASKS = {"avx512-masks", LANES, MOST_VECTORS, usable, search, classify};
#else
const Isa ISA_AVX512 = {"avx512", LANES, MOST_VECTORS, usable, search, classify};
#endif
#endif
