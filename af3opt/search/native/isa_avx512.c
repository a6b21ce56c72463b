/* 64 positions a vector: AVX-512 with byte instructions (Intel since Skylake-SP, AMD since Zen 4). */
#include <string.h>

#include "kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LANES 64
#define MOST_VECTORS 12
#define PAIRED_VECTORS 6
#define TARGET __attribute__((target("avx512f,avx512bw")))
typedef __m512i Vector;

#define FILL(byte) _mm512_set1_epi8((char)(byte))
#define LOAD(pointer) _mm512_load_si512((const void *)(pointer))
#define ADD(a, b) _mm512_adds_epi8(a, b)
#define MAX(a, b) _mm512_max_epi8(a, b)
#define ROTATE(v) \
  _mm512_alignr_epi8(v, _mm512_shuffle_i64x2(v, v, _MM_SHUFFLE(2, 1, 0, 3)), 15)
#define FIRST(v) ((int8_t)_mm_cvtsi128_si32(_mm512_castsi512_si128(v)))
#define WITH_FIRST(v, byte) _mm512_mask_set1_epi8(v, 1, (char)(byte))
#define REACHES(v, byte) (_mm512_cmpge_epi8_mask(v, FILL(byte)) != 0)
#include "step_x86.h"
#include "lanes.h"

DEFINE_WHOLE(1) DEFINE_WHOLE(2) DEFINE_WHOLE(3) DEFINE_WHOLE(4) DEFINE_WHOLE(5) DEFINE_WHOLE(6)
DEFINE_WHOLE(7) DEFINE_WHOLE(8) DEFINE_WHOLE(9) DEFINE_WHOLE(10) DEFINE_WHOLE(11) DEFINE_WHOLE(12)
DEFINE_PARTS(7) DEFINE_PARTS(8) DEFINE_PARTS(9) DEFINE_PARTS(10) DEFINE_PARTS(11) DEFINE_PARTS(12)

static Search *const WHOLE[] = {whole_1, whole_2, whole_3, whole_4,  whole_5,  whole_6,
                                whole_7, whole_8, whole_9, whole_10, whole_11, whole_12};
/* A second part means that more than half of the most vectors are in use. */
static Search *const PARTS[] = {parts_7, parts_8, parts_9, parts_10, parts_11, parts_12};

static void search(const Query *query, const Block *block, uint8_t *kept) {
  if (query->parts == 1)
    WHOLE[query->vectors - 1](query, block, kept);
  else
    PARTS[query->vectors - 7](query, block, kept);
}

static TARGET size_t letters(const uint8_t *text, uint8_t *codes) {
  const __m512i lower = _mm512_set1_epi8(0x20), a = _mm512_set1_epi8('a');
  const __m512i five_bits = _mm512_set1_epi8(31), alphabet = _mm512_set1_epi8(26);
  for (size_t n = 0;; n += LANES) {
    const __m512i bytes = _mm512_loadu_si512(text + n);
    const __m512i place = _mm512_sub_epi8(_mm512_or_si512(bytes, lower), a);
    const uint64_t others = ~_mm512_cmplt_epu8_mask(place, alphabet);
    _mm512_storeu_si512(codes + n, _mm512_and_si512(bytes, five_bits));
    if (others) return n + (size_t)__builtin_ctzll(others);
  }
}

static int usable(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

const Isa ISA_AVX512 = {"avx512", LANES, MOST_VECTORS, usable, search, letters};
#endif
