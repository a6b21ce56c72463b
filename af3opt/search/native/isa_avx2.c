/* 32 positions a vector: AVX2 (Intel since Haswell, AMD since Zen). */
#include <string.h>

#include "kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LANES 32
#define MOST_VECTORS 10
#define PAIRED_VECTORS 4
#define PART_BESTS(vectors) ((vectors) >= 9 ? 3 : 4)  /* sixteen registers for all */
#define TARGET __attribute__((target("avx2")))
typedef __m256i Vector;

#define FILL(byte) _mm256_set1_epi8((char)(byte))
#define LOAD(pointer) _mm256_load_si256((const __m256i *)(const void *)(pointer))
#define ADD(a, b) _mm256_adds_epi8(a, b)
#define MAX(a, b) _mm256_max_epi8(a, b)
#define ROTATE(v) _mm256_alignr_epi8(v, _mm256_permute2x128_si256(v, v, 1), 15)
#define ENTER(v, border)                                                              \
  _mm256_alignr_epi8(v,                                                               \
                     _mm256_inserti128_si256(                                         \
                         _mm256_castsi128_si256(                                      \
                             _mm_loadu_si128((const __m128i *)(const void *)((border)-15))), \
                         _mm256_castsi256_si128(v), 1),                               \
                     15)
#define LEAVE(v, border) \
  _mm_storeu_si128((__m128i *)(void *)((border)-15), _mm256_extracti128_si256(v, 1))
#define REACHES(v, byte) (_mm256_movemask_epi8(_mm256_cmpeq_epi8(MAX(v, FILL(byte)), v)) != 0)
#include "step_x86.h"
#include "lanes.h"

DEFINE_WHOLE(1) DEFINE_WHOLE(2) DEFINE_WHOLE(3) DEFINE_WHOLE(4) DEFINE_WHOLE(5)
DEFINE_WHOLE(6) DEFINE_WHOLE(7) DEFINE_WHOLE(8) DEFINE_WHOLE(9) DEFINE_WHOLE(10)
DEFINE_PARTS(6) DEFINE_PARTS(7) DEFINE_PARTS(8) DEFINE_PARTS(9) DEFINE_PARTS(10)

static Search *const WHOLE[] = {whole_1, whole_2, whole_3, whole_4, whole_5,
                                whole_6, whole_7, whole_8, whole_9, whole_10};
/* A second part means that more than half of the most vectors are in use. */
static Search *const PARTS[] = {parts_6, parts_7, parts_8, parts_9, parts_10};

static void search(const Query *query, const Block *block, uint8_t *kept) {
  if (query->parts == 1)
    WHOLE[query->vectors - 1](query, block, kept);
  else
    PARTS[query->vectors - 6](query, block, kept);
}

/* Half a word of both masks. */
static inline TARGET void classify_half(const uint8_t *text, uint64_t *others, uint64_t *ends) {
  const __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)text);
  const __m256i place = _mm256_sub_epi8(_mm256_or_si256(bytes, FILL(0x20)), FILL('a'));
  const __m256i is_letter = _mm256_cmpeq_epi8(_mm256_min_epu8(place, FILL(25)), place);
  const __m256i is_end = _mm256_or_si256(_mm256_cmpeq_epi8(bytes, FILL('\n')),
                                         _mm256_cmpeq_epi8(bytes, FILL('\r')));
  *others = (uint32_t)~_mm256_movemask_epi8(is_letter);
  *ends = (uint32_t)_mm256_movemask_epi8(is_end);
}

static TARGET void classify(const uint8_t *text, size_t words, uint64_t *others,
                            uint64_t *ends) {
  for (size_t word = 0; word < words; word++) {
    uint64_t other[2], end[2];
    classify_half(text + word * 64, &other[0], &end[0]);
    classify_half(text + word * 64 + LANES, &other[1], &end[1]);
    others[word] = other[0] | other[1] << 32;
    ends[word] = end[0] | end[1] << 32;
  }
}

static Use usable(void) { return __builtin_cpu_supports("avx2") ? USABLE : UNUSABLE; }

const Isa ISA_AVX2 = {"avx2", LANES, MOST_VECTORS, usable, search, classify};
#endif
